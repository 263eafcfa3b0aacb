//! The linear algebra of a Gaussian process: a Cholesky factor and what is solved with it.
//!
//! Matrices here have a row for each measured point, tens of them, so plain loops do.

/// A square matrix, row by row.
pub(crate) type Matrix = Vec<Vec<f64>>;

/// The lower triangle L of L·Lᵀ.
#[derive(Debug, Clone)]
pub(crate) struct Factor(Matrix);

impl Factor {
    /// Returns the Cholesky factor of a symmetric matrix of which the lower triangle is filled, or `None` where it is not
    /// positive definite. n³ ÷ 6 multiplications.
    pub(crate) fn of(mut matrix: Matrix) -> Option<Self> {
        for i in 0..matrix.len() {
            let (above, rest) = matrix.split_at_mut(i);
            let row = &mut rest[0];
            for (j, other) in above.iter().enumerate() {
                row[j] = (row[j] - dot(&row[..j], &other[..j])) / other[j];
            }
            let left = row[i] - dot(&row[..i], &row[..i]);
            if left.is_nan() || left <= 0.0 {
                return None;
            }
            row[i] = left.sqrt();
        }
        Some(Self(matrix))
    }

    /// Returns L⁻¹·y.
    pub(crate) fn whiten(&self, y: &[f64]) -> Vec<f64> {
        let mut z: Vec<f64> = Vec::with_capacity(y.len());
        for (row, value) in self.0.iter().zip(y) {
            z.push((value - dot(&row[..z.len()], &z)) / row[z.len()]);
        }
        z
    }

    /// Returns half the logarithm of the determinant of L·Lᵀ.
    pub(crate) fn half_log_determinant(&self) -> f64 {
        self.0.iter().enumerate().map(|(i, row)| row[i].ln()).sum()
    }
}

/// Returns the sum of products.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

#[cfg(test)]
mod tests {
    use super::{Factor, dot};

    #[test]
    fn factors_whiten_to_the_quadratic_form_of_the_inverse() {
        let factor = Factor::of(vec![vec![4.0, 0.0], vec![2.0, 3.0]]).expect("positive definite");
        // The inverse of [[4, 2], [2, 3]] is [[3, −2], [−2, 4]] ÷ 8.
        let z = factor.whiten(&[1.0, 2.0]);
        assert!((dot(&z, &z) - (3.0 - 8.0 + 16.0) / 8.0).abs() < 1e-12);
        assert!((factor.half_log_determinant() - 8f64.ln() / 2.0).abs() < 1e-12);
        assert!(Factor::of(vec![vec![1.0, 0.0], vec![2.0, 1.0]]).is_none());
    }
}
