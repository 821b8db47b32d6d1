//! Raw records, packed: one matrix for each kind of field, rows in the same order, columns in the signature's.

/// Texts one after another, row by row. None holds a NUL; the empty one stands for missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl Texts {
    /// Append a text.
    pub fn push(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
        self.ends.push(self.bytes.len() as u32);
    }

    /// How many texts there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The text at this place, as UTF-8; the empty one where there is none.
    pub fn get(&self, place: usize) -> &[u8] {
        let end_of = |place: usize| self.ends.get(place).map_or(0, |&end| end as usize);
        let start = place.checked_sub(1).map_or(0, end_of);
        self.bytes.get(start..end_of(place)).unwrap_or_default()
    }

    /// All texts, in order, as UTF-8.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let text = self.bytes.get(start..end as usize).unwrap_or_default();
            start = end as usize;
            text
        })
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * size_of::<u32>()
    }

    /// Append all texts of `other`.
    pub fn append(&mut self, other: &Self) {
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(&other.bytes);
        self.ends.extend(other.ends.iter().map(|end| start + end));
    }

    /// Forget all texts and keep the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
}

/// The inputs of one run of a graph. A kind without fields has no values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Blocks {
    /// How many records.
    pub rows: usize,
    /// `[rows, number fields]`, row by row; NaN (always the same one, `f32::NAN`) stands for missing.
    pub numbers: Vec<f32>,
    /// `[rows, integer fields]`, row by row.
    pub integers: Vec<i64>,
    /// `[rows, text fields]`, row by row.
    pub texts: Texts,
}

impl Blocks {
    /// Append the rows of `other`, which has the same fields.
    pub fn append(&mut self, other: &Self) {
        self.rows += other.rows;
        self.numbers.extend_from_slice(&other.numbers);
        self.integers.extend_from_slice(&other.integers);
        self.texts.append(&other.texts);
    }

    /// Forget all rows and keep the memory.
    pub fn clear(&mut self) {
        self.rows = 0;
        self.numbers.clear();
        self.integers.clear();
        self.texts.clear();
    }
}
