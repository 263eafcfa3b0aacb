//! Small linear programs whose origin is allowed: the simplex method on a dense tableau.
//!
//! For programs of a few rows that are solved thousands of times; anything larger goes through HiGHS.

/// Slack below which a reduced price or a pivot counts as none: absolute, so numbers should be near 1.
const NOTHING: f64 = 1e-12;

/// Maximises `c·x` with `A·x ≤ b` and `x ≥ 0`, every `b` being at least 0. Returns the value and `x`; `None` where the value has
/// no limit.
///
/// By Bland's rule, so that it ends; O(rows × columns) a step.
///
/// # Panics
/// Where a row has another length than `c`, or a `b` is negative.
#[must_use]
pub fn maximise(c: &[f64], rows: &[Vec<f64>], b: &[f64]) -> Option<(f64, Vec<f64>)> {
    assert!(rows.len() == b.len() && b.iter().all(|&b| b >= 0.0), "the origin is allowed");
    let (n, m) = (c.len(), rows.len());
    // Columns: x, one slack a row, the right-hand side. The last row is the objective, with prices negated.
    let mut tableau: Vec<Vec<f64>> = Vec::with_capacity(m + 1);
    for (index, (row, b)) in rows.iter().zip(b).enumerate() {
        assert_eq!(row.len(), n, "a number for every variable");
        let slacks = (0..m).map(|slack| f64::from(u8::from(slack == index)));
        tableau.push(row.iter().copied().chain(slacks).chain([*b]).collect());
    }
    tableau.push(c.iter().map(|price| -price).chain(std::iter::repeat_n(0.0, m + 1)).collect());
    let mut basis: Vec<usize> = (n..n + m).collect();
    while let Some(enters) = (0..n + m).find(|&column| tableau[m][column] < -NOTHING) {
        let ratio = |row: usize| tableau[row][n + m] / tableau[row][enters];
        let limits = (0..m).filter(|&row| tableau[row][enters] > NOTHING);
        let leaves = limits.min_by(|&a, &b| ratio(a).total_cmp(&ratio(b)).then(basis[a].cmp(&basis[b])))?;
        basis[leaves] = enters;
        let pivot = tableau[leaves][enters];
        tableau[leaves].iter_mut().for_each(|value| *value /= pivot);
        let pivot_row = tableau[leaves].clone();
        for (_, row) in tableau.iter_mut().enumerate().filter(|(row, _)| *row != leaves) {
            let factor = row[enters];
            if factor != 0.0 {
                row.iter_mut().zip(&pivot_row).for_each(|(value, pivot)| *value -= factor * pivot);
            }
        }
    }
    let mut x = vec![0.0; n];
    for (row, &column) in basis.iter().enumerate().filter(|(_, column)| **column < n) {
        x[column] = tableau[row][n + m].max(0.0);
    }
    Some((tableau[m][n + m], x))
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::maximise;

    #[test]
    fn a_textbook_program() {
        // Dantzig's: 3x + 5y with x ≤ 4, 2y ≤ 12, 3x + 2y ≤ 18 is 36 at (2, 6).
        let rows = [vec![1.0, 0.0], vec![0.0, 2.0], vec![3.0, 2.0]];
        let (value, x) = maximise(&[3.0, 5.0], &rows, &[4.0, 12.0, 18.0]).expect("bounded");
        assert!((value - 36.0).abs() < 1e-9 && (x[0] - 2.0).abs() < 1e-9 && (x[1] - 6.0).abs() < 1e-9, "{value} {x:?}");
        assert_eq!(maximise(&[1.0], &[vec![-1.0]], &[1.0]), None);
    }

    /// The best corner of a program with two variables, by trying all.
    fn best_corner(c: &[f64], rows: &[Vec<f64>], b: &[f64]) -> f64 {
        let mut lines: Vec<([f64; 2], f64)> = rows.iter().zip(b).map(|(row, b)| ([row[0], row[1]], *b)).collect();
        lines.extend([([1.0, 0.0], 0.0), ([0.0, 1.0], 0.0)]);
        let mut best = f64::NEG_INFINITY;
        for (i, (p, s)) in lines.iter().enumerate() {
            for (q, t) in &lines[i + 1..] {
                let det = p[0] * q[1] - p[1] * q[0];
                if det.abs() < 1e-9 {
                    continue;
                }
                let x = [(s * q[1] - p[1] * t) / det, (p[0] * t - s * q[0]) / det];
                let fits = rows.iter().zip(b).all(|(row, b)| row[0] * x[0] + row[1] * x[1] <= b + 1e-9);
                if fits && x[0] >= -1e-9 && x[1] >= -1e-9 {
                    best = best.max(c[0] * x[0] + c[1] * x[1]);
                }
            }
        }
        best
    }

    #[test]
    fn no_corner_is_better() {
        let mut dice = ChaCha8Rng::seed_from_u64(42);
        for case in 0..300 {
            let rows: Vec<Vec<f64>> = (0..dice.random_range(1..=5))
                .map(|_| vec![dice.random_range(0.1..2.0), dice.random_range(0.1..2.0)])
                .collect();
            let b: Vec<f64> = rows.iter().map(|_| dice.random_range(0.0..3.0)).collect();
            let c = [dice.random_range(-1.0..2.0), dice.random_range(-1.0..2.0)];
            let (value, x) = maximise(&c, &rows, &b).expect("every variable is limited");
            assert!((value - best_corner(&c, &rows, &b)).abs() < 1e-7, "{case}: {value} at {x:?}");
        }
    }
}
