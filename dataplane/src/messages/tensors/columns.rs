//! Columns of elements, checked and scattered into the blocks row by row.

use smallvec::SmallVec;

use super::FEW;
use super::elements::{Elements, Texts};
use crate::messages::wire::text;
use crate::refusal::Refusal;
use crate::rows::blocks::Blocks;
use crate::signature::{Field, FieldValue, Kind, Signature};

const FLOAT32_MAX: f64 = f32::MAX as f64;

/// A field and the elements for it.
type Column<'a, 's> = (&'s Field, Elements<'a>);

/// Pack one column for each field; `sources` are in the order of the signature, each with `rows` elements.
///
/// Refuses the first bad value of the first bad column, with its row.
pub(super) fn pack(
    signature: &Signature,
    sources: &[Option<Elements<'_>>],
    rows: usize,
    blocks: &mut Blocks,
) -> Result<(), Refusal> {
    let mut columns: SmallVec<[Column<'_, '_>; FEW]> = SmallVec::new();
    for &place in signature.packing() {
        if let (Some(field), Some(Some(elements))) = (signature.fields().get(place), sources.get(place)) {
            columns.push((field, *elements));
        }
    }
    blocks.rows = rows;
    let (numbers, others) = split(&columns, Kind::Number);
    blocks.numbers.resize(rows * numbers.len(), 0.0);
    for (index, (field, elements)) in numbers.iter().enumerate() {
        pack_numbers(field, elements, places(&mut blocks.numbers, numbers.len(), index))?;
    }
    let (integers, texts) = split(others, Kind::Integer);
    blocks.integers.resize(rows * integers.len(), 0);
    for (index, (field, elements)) in integers.iter().enumerate() {
        pack_integers(field, elements, places(&mut blocks.integers, integers.len(), index))?;
    }
    pack_texts(texts, rows, blocks)
}

/// The columns of one kind, which come first, and the rest.
fn split<'c, 'a, 's>(
    columns: &'c [Column<'a, 's>],
    kind: Kind,
) -> (&'c [Column<'a, 's>], &'c [Column<'a, 's>]) {
    columns.split_at(columns.iter().take_while(|(field, _)| field.kind == kind).count())
}

/// One column of a block of `width` columns, of which there is at least one.
fn places<T>(block: &mut [T], width: usize, column: usize) -> impl Iterator<Item = &mut T> {
    block.chunks_exact_mut(width).filter_map(move |row| row.get_mut(column))
}

/// Values are checked against a range only, without a branch; a column with a value out of it is checked again,
/// value by value, by `Field::number`.
#[inline]
fn pack_numbers<'b>(
    field: &Field,
    elements: &Elements<'_>,
    mut places: impl Iterator<Item = &'b mut f32>,
) -> Result<(), Refusal> {
    let (least, most) = range(field);
    let mut bad = false;
    elements.each_real(|value| {
        bad |= value < least || value > most || (value.is_nan() && !field.missing_allowed);
        if let Some(place) = places.next() {
            *place = if value.is_nan() { f32::NAN } else { value as f32 };
        }
    })?;
    if !bad {
        return Ok(());
    }
    let mut first = First::default();
    elements.each_real(|value| first.see(|| field.number(FieldValue::Number(value)).map(drop)))?;
    first.found()
}

/// The numbers that a field takes.
fn range(field: &Field) -> (f64, f64) {
    let bound = |bound: Option<f64>, otherwise| bound.filter(|_| field.reject_outside).unwrap_or(otherwise);
    let (least, most) = (bound(field.lower, -FLOAT32_MAX), bound(field.upper, FLOAT32_MAX));
    (least.max(-FLOAT32_MAX), most.min(FLOAT32_MAX))
}

/// As numbers are; NumPy compares integers with bounds as float64, hence only what it suspects is looked at.
fn pack_integers<'b>(
    field: &Field,
    elements: &Elements<'_>,
    mut places: impl Iterator<Item = &'b mut i64>,
) -> Result<(), Refusal> {
    let least = field.lower.unwrap_or(f64::NEG_INFINITY);
    let most = field.upper.unwrap_or(f64::INFINITY);
    let mut bad = false;
    elements.each_integer(|value| {
        bad |= (value as f64) < least || value as f64 > most;
        if let Some(place) = places.next() {
            *place = value;
        }
    })?;
    if !bad {
        return Ok(());
    }
    let mut first = First::default();
    elements.each_integer(|value| first.see(|| field.integer(FieldValue::Integer(value)).map(drop)))?;
    first.found()
}

/// Texts go row by row, since they lie one after another.
fn pack_texts(columns: &[Column<'_, '_>], rows: usize, blocks: &mut Blocks) -> Result<(), Refusal> {
    let mut cursors: SmallVec<[(&Field, Texts<'_>); FEW]> =
        columns.iter().map(|(field, elements)| (*field, elements.texts())).collect();
    for _ in 0..rows {
        for (field, texts) in &mut cursors {
            match check_text(field, texts.next().unwrap_or_default()) {
                Ok(text) => blocks.texts.push(text),
                Err(_) => return first_bad_text(columns),
            }
        }
    }
    Ok(())
}

fn check_text<'a>(field: &Field, bytes: &'a [u8]) -> Result<&'a str, Refusal> {
    field.text(FieldValue::Text(text(bytes)?))
}

#[cold]
fn first_bad_text(columns: &[Column<'_, '_>]) -> Result<(), Refusal> {
    for (field, elements) in columns {
        let mut first = First::default();
        for bytes in elements.texts() {
            first.see(|| check_text(field, bytes).map(drop));
        }
        first.found()?;
    }
    Ok(())
}

/// Looks for the first row that is refused.
#[derive(Default)]
struct First {
    row: usize,
    refusal: Option<Refusal>,
}

impl First {
    fn see(&mut self, check: impl FnOnce() -> Result<(), Refusal>) {
        if self.refusal.is_none() {
            self.refusal = check().err().map(|refusal| Refusal {
                message: format!("{} (row {})", refusal.message, self.row),
                ..refusal
            });
            self.row += 1;
        }
    }

    fn found(self) -> Result<(), Refusal> {
        self.refusal.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::pack;
    use crate::messages::tensors::datatype::Datatype;
    use crate::messages::tensors::elements::Elements;
    use crate::rows::blocks::Blocks;
    use crate::signature::{Field, Kind, Signature};

    fn field(name: &str, kind: Kind, lower: Option<f64>) -> Field {
        let name = name.to_owned();
        Field { name, kind, missing_allowed: false, lower, upper: None, reject_outside: true }
    }

    fn signature() -> Signature {
        let fields = vec![
            field("t", Kind::Text, None),
            field("a", Kind::Number, Some(0.0)),
            field("i", Kind::Integer, Some(0.0)),
            field("b", Kind::Number, None),
            field("u", Kind::Text, None),
        ];
        Signature::new(fields, String::new())
    }

    /// Two rows.
    fn packed(t: &[u8], a: [u8; 2], i: [u8; 2], u: &[u8]) -> Result<Blocks, String> {
        let column = |datatype, raw| Some(Elements::raw(datatype, raw));
        let sources = [
            column(Datatype::Bytes, t),
            column(Datatype::Int8, &a),
            column(Datatype::Int8, &i),
            column(Datatype::Fp32, b"\0\0\0\x3f\0\0\x80\x3f"),
            column(Datatype::Bytes, u),
        ];
        let mut blocks = Blocks::default();
        pack(&signature(), &sources, 2, &mut blocks).map(|()| blocks).map_err(|refusal| refusal.message)
    }

    const P_Q: &[u8] = b"\x01\0\0\0p\x01\0\0\0q";
    const R_NONE: &[u8] = b"\x01\0\0\0r\0\0\0\0";
    const NONE_S: &[u8] = b"\0\0\0\0\x01\0\0\0s";

    #[test]
    fn columns_become_rows() {
        let blocks = packed(P_Q, [1, 2], [3, 4], P_Q).unwrap_or_default();
        assert_eq!(blocks.numbers, [1.0, 0.5, 2.0, 1.0]);
        assert_eq!(blocks.integers, [3, 4]);
        assert_eq!(blocks.texts.iter().collect::<Vec<_>>(), [b"p", b"p", b"q", b"q"]);
    }

    #[test]
    fn kinds_are_checked_in_turn_and_each_column_from_its_first_row() {
        let refused = |t, a, i, u| packed(t, a, i, u).err();
        let told = |text: &str| Some(text.to_owned());
        let (bad_number, bad_integer) = ([1, 0xff], [0xfe, 0xff]);
        assert_eq!(
            refused(R_NONE, bad_number, bad_integer, NONE_S),
            told("field 'a' is -1; send a value from 0 to inf (row 1)")
        );
        assert_eq!(
            refused(R_NONE, [0, 0], bad_integer, NONE_S),
            told("field 'i' is -2; send a value from 0 to inf (row 0)")
        );
        assert_eq!(
            refused(R_NONE, [0, 0], [0, 0], NONE_S),
            told("field 't' must not be missing; send text (row 1)")
        );
        assert_eq!(
            refused(P_Q, [0, 0], [0, 0], NONE_S),
            told("field 'u' must not be missing; send text (row 0)")
        );
    }
}
