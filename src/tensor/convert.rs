//! One element type into another, only where nothing is lost or where somebody asked for it.

use half::{bf16, f16};

use super::{DType, Data, Tensor};

/// Why a tensor is not converted.
#[derive(Debug, Clone, PartialEq)]
pub struct Lossy {
    /// What the elements are.
    pub from: DType,
    /// What they should become.
    pub to: DType,
    /// The first number that the other type does not have, where it is about numbers.
    pub number: Option<f64>,
}

impl std::fmt::Display for Lossy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.number {
            Some(number) => write!(f, "{} has no {number}, which the {} holds", self.to, self.from),
            None => write!(f, "{} does not become {}", self.from, self.to),
        }
    }
}

impl Tensor {
    /// Returns the same numbers as another type. Each number must be the same afterwards; between floats, `cast` lets them be
    /// rounded. Floats never become whole numbers, strings become nothing else, and a truth value is 0 or 1.
    ///
    /// # Errors
    /// Which number would be lost, or that the types have nothing in common.
    pub fn converted(&self, to: DType, cast: bool) -> Result<Self, Lossy> {
        let from = self.dtype();
        if from == to {
            return Ok(self.clone());
        }
        let lossy = |number| Lossy { from, to, number };
        let is_whole = |dtype: DType| dtype.is_integer() || dtype == DType::Bool;
        if [from, to].contains(&DType::String)
            || (from.is_float() && is_whole(to))
            || (from == DType::Bool && to.is_float())
        {
            return Err(lossy(None));
        }
        let data = if is_whole(from) && is_whole(to) {
            whole(&self.data, to).map_err(|number| lossy(Some(number as f64)))?
        } else {
            rounded(&self.data, to, cast && from.is_float()).map_err(|number| lossy(Some(number)))?
        };
        Ok(Self { shape: self.shape.clone(), data })
    }
}

/// Returns whole numbers as another type of them, or the first that it does not have.
fn whole(data: &Data, to: DType) -> Result<Data, i128> {
    let numbers: Box<dyn Iterator<Item = i128> + '_> = match data {
        Data::I8(values) => Box::new(values.iter().map(|&value| value.into())),
        Data::U8(values) => Box::new(values.iter().map(|&value| value.into())),
        Data::I16(values) => Box::new(values.iter().map(|&value| value.into())),
        Data::U16(values) => Box::new(values.iter().map(|&value| value.into())),
        Data::I32(values) => Box::new(values.iter().map(|&value| value.into())),
        Data::U32(values) => Box::new(values.iter().map(|&value| value.into())),
        Data::I64(values) => Box::new(values.iter().map(|&value| value.into())),
        Data::U64(values) => Box::new(values.iter().map(|&value| value.into())),
        Data::Bool(values) => Box::new(values.iter().map(|&value| i128::from(value))),
        _ => Box::new(std::iter::empty()),
    };
    fn all<T: TryFrom<i128>>(numbers: impl Iterator<Item = i128>) -> Result<Vec<T>, i128> {
        numbers.map(|number| T::try_from(number).map_err(|_| number)).collect()
    }
    Ok(match to {
        DType::I8 => Data::I8(all(numbers)?),
        DType::U8 => Data::U8(all(numbers)?),
        DType::I16 => Data::I16(all(numbers)?),
        DType::U16 => Data::U16(all(numbers)?),
        DType::I32 => Data::I32(all(numbers)?),
        DType::U32 => Data::U32(all(numbers)?),
        DType::U64 => Data::U64(all(numbers)?),
        DType::Bool => Data::Bool(numbers.map(|number| truth(number).ok_or(number)).collect::<Result<_, _>>()?),
        _ => Data::I64(all(numbers)?),
    })
}

const fn truth(number: i128) -> Option<bool> {
    match number {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

/// Returns numbers as floats of some width, or the first that would be rounded where that is not wanted.
fn rounded(data: &Data, to: DType, may_round: bool) -> Result<Data, f64> {
    // 64-bit whole numbers that a 64-bit float does not have are lost on the way already.
    let whole_is_kept = |place: usize| match data {
        Data::I64(values) => values[place] as f64 as i128 == i128::from(values[place]),
        Data::U64(values) => values[place] as f64 as i128 == i128::from(values[place]),
        _ => true,
    };
    fn all<T: Copy + Into<f64>>(
        data: &Data,
        is_kept: impl Fn(usize) -> bool,
        may_round: bool,
        narrow: impl Fn(f64) -> T,
    ) -> Result<Vec<T>, f64> {
        let narrowed = |place: usize| {
            let number = nearest(data, place);
            let narrow = narrow(number);
            let same = narrow.into() == number || number.is_nan();
            if (same && is_kept(place)) || (may_round && narrow.into().is_finite()) { Ok(narrow) } else { Err(number) }
        };
        (0..data.len()).map(narrowed).collect()
    }
    Ok(match to {
        DType::F16 => Data::F16(all(data, whole_is_kept, may_round, f16::from_f64)?),
        DType::BF16 => Data::BF16(all(data, whole_is_kept, may_round, bf16::from_f64)?),
        DType::F32 => Data::F32(all(data, whole_is_kept, may_round, |number| number as f32)?),
        _ => Data::F64(all(data, whole_is_kept, may_round, |number| number)?),
    })
}

/// Returns an element as a 64-bit float, as it is nearest; 0 for strings.
pub fn nearest(data: &Data, place: usize) -> f64 {
    match data {
        Data::F16(values) => values[place].to_f64(),
        Data::BF16(values) => values[place].to_f64(),
        Data::F32(values) => values[place].into(),
        Data::F64(values) => values[place],
        Data::I8(values) => values[place].into(),
        Data::U8(values) => values[place].into(),
        Data::I16(values) => values[place].into(),
        Data::U16(values) => values[place].into(),
        Data::I32(values) => values[place].into(),
        Data::U32(values) => values[place].into(),
        Data::I64(values) => values[place] as f64,
        Data::U64(values) => values[place] as f64,
        Data::Bool(values) => f64::from(u8::from(values[place])),
        Data::String(_) => 0.0,
    }
}
