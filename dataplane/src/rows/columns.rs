//! Rows of one model, column by column, ready to become numpy arrays.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use crate::rows::answered::{Answered, Member, ModelInfo};
use crate::signature::Kind;

/// One text of each row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextColumn {
    /// Distinct values, in order of appearance.
    pub values: Vec<String>,
    /// For each row, which of the values it has.
    pub rows: Vec<i32>,
}

/// Rows that one model answered, in the order they were answered; fields as in `sidecar.domain.ServedBatch`.
#[derive(Debug)]
pub struct Columns {
    /// The model.
    pub model: Arc<ModelInfo>,
    /// The rows' keys.
    pub request_ids: Vec<String>,
    /// Who sent the rows' requests; "" where they do not say.
    pub clients: TextColumn,
    /// Since the Unix epoch.
    pub received_ns: Vec<i64>,
    /// Since the Unix epoch.
    pub event_ns: Vec<i64>,
    /// Equal for rows that ran in one inference call.
    pub group: Vec<i64>,
    /// From the message's arrival to the start of decoding.
    pub queue_ns: Vec<i64>,
    /// What a canary's runs took that failed before; empty where each is 0.
    pub failed_ns: Vec<i64>,
    /// Of the whole inference call, on the wall clock.
    pub infer_ns: Vec<i64>,
    /// Of the whole inference call, on the thread's CPU clock.
    pub cpu_ns: Vec<i64>,
    /// `[rows, number fields]`, row by row.
    pub numbers: Vec<f32>,
    /// `[rows, integer fields]`, row by row.
    pub integers: Vec<i64>,
    /// One for each text field.
    pub texts: Vec<TextColumn>,
    /// `[rows, features]`, row by row.
    pub features: Vec<f32>,
    /// `[rows]`.
    pub score: Vec<f32>,
    /// `[rows]`, 0 or 1; what the rule decided.
    pub decision: Vec<u8>,
    /// `[rows]`; empty where each is 1, as everywhere where nothing is explored.
    pub propensity: Vec<f32>,
}

impl Columns {
    /// Lay out calls that `model` answered; the first one is inference group `first_group`.
    pub(crate) fn new(model: &Arc<ModelInfo>, calls: &[Box<Answered>], first_group: i64) -> Self {
        let rows = calls.iter().map(|call| call.blocks.rows).sum();
        let fields = |kind| model.signature.fields().iter().filter(|field| field.kind == kind).count();
        let mut columns = Self {
            model: Arc::clone(model),
            request_ids: Vec::with_capacity(rows),
            clients: clients(calls, rows),
            received_ns: Vec::with_capacity(rows),
            event_ns: Vec::with_capacity(rows),
            group: Vec::with_capacity(rows),
            queue_ns: Vec::with_capacity(rows),
            failed_ns: Vec::new(),
            infer_ns: Vec::with_capacity(rows),
            cpu_ns: Vec::with_capacity(rows),
            numbers: Vec::with_capacity(rows * fields(Kind::Number)),
            integers: Vec::with_capacity(rows * fields(Kind::Integer)),
            texts: text_columns(calls, rows, fields(Kind::Text)),
            features: Vec::with_capacity(rows * model.features),
            score: Vec::with_capacity(rows),
            decision: Vec::with_capacity(rows),
            propensity: Vec::new(),
        };
        for (call, group) in calls.iter().zip(first_group..) {
            columns.append(call, group);
        }
        if !columns.propensity.is_empty() {
            columns.propensity.resize(rows, 1.0);
        }
        if !columns.failed_ns.is_empty() {
            columns.failed_ns.resize(rows, 0);
        }
        columns
    }

    fn append(&mut self, call: &Answered, group: i64) {
        let rows = call.blocks.rows;
        if call.members.is_empty() {
            self.append_one_request(call, rows);
        } else {
            self.append_members(&call.members);
        }
        spread(&mut self.group, group, rows);
        spread(&mut self.infer_ns, call.prediction.infer_ns, rows);
        spread(&mut self.cpu_ns, call.prediction.cpu_ns, rows);
        self.numbers.extend_from_slice(&call.blocks.numbers);
        self.integers.extend_from_slice(&call.blocks.integers);
        self.features.extend_from_slice(&call.prediction.features);
        self.score.extend_from_slice(&call.prediction.score);
        if !call.propensity.is_empty() {
            self.propensity.resize(self.decision.len(), 1.0);
            self.propensity.extend_from_slice(&call.propensity);
        }
        self.decision.extend(call.prediction.decision.iter().map(|&yes| u8::from(yes)));
    }

    fn append_one_request(&mut self, call: &Answered, rows: usize) {
        if rows == 1 {
            self.request_ids.push(call.request_id.clone());
        } else {
            self.request_ids.extend((0..rows).map(|row| format!("{}/{row}", call.request_id)));
        }
        spread(&mut self.received_ns, call.received_ns, rows);
        spread(&mut self.event_ns, call.event_ns, rows);
        spread(&mut self.queue_ns, call.queue_ns, rows);
        if call.failed_ns > 0 {
            self.failed_ns.resize(self.queue_ns.len() - rows, 0);
            spread(&mut self.failed_ns, call.failed_ns, rows);
        }
    }

    fn append_members(&mut self, members: &[Member]) {
        for member in members {
            self.request_ids.push(member.request_id.clone());
            self.received_ns.push(member.received_ns);
            self.event_ns.push(member.event_ns);
            self.queue_ns.push(member.queue_ns);
        }
    }
}

fn spread(column: &mut Vec<i64>, value: i64, rows: usize) {
    column.resize(column.len() + rows, value);
}

fn clients(calls: &[Box<Answered>], rows: usize) -> TextColumn {
    let mut distinct = Distinct::new(rows);
    for call in calls {
        if call.members.is_empty() {
            (0..call.blocks.rows).for_each(|_| distinct.push(call.client.as_bytes()));
        } else {
            call.members.iter().for_each(|member| distinct.push(member.client.as_bytes()));
        }
    }
    distinct.column
}

fn text_columns(calls: &[Box<Answered>], rows: usize, fields: usize) -> Vec<TextColumn> {
    let mut distinct: Vec<_> = (0..fields).map(|_| Distinct::new(rows)).collect();
    for call in calls {
        let mut texts = call.blocks.texts.iter();
        for _ in 0..call.blocks.rows {
            for (column, text) in distinct.iter_mut().zip(texts.by_ref()) {
                column.push(text);
            }
        }
    }
    distinct.into_iter().map(|distinct| distinct.column).collect()
}

/// Finds a text among those that a column has already, by a hash table of positions in `values`.
struct Distinct {
    column: TextColumn,
    /// Position + 1 and the upper half of the hash; 0 for a free slot. A power of two of them, at most half full.
    slots: Vec<(u32, u32)>,
    seed: u64,
}

impl Distinct {
    fn new(rows: usize) -> Self {
        let column = TextColumn { values: Vec::new(), rows: Vec::with_capacity(rows) };
        // The seed keeps callers from choosing texts that collide.
        Self { column, slots: vec![(0, 0); 16], seed: RandomState::new().hash_one(rows) }
    }

    fn push(&mut self, text: &[u8]) {
        let hash = hash(text, self.seed);
        let tag = (hash >> 32) as u32;
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        while let Some(&(position, known)) = self.slots.get(at).filter(|slot| slot.0 > 0) {
            let value = self.column.values.get(position as usize - 1);
            if known == tag && value.is_some_and(|value| value.as_bytes() == text) {
                self.column.rows.push(position as i32 - 1);
                return;
            }
            at = (at + 1) & mask;
        }
        self.column.rows.push(self.column.values.len() as i32);
        self.column.values.push(String::from_utf8_lossy(text).into_owned());
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = (self.column.values.len() as u32, tag);
        }
        if self.column.values.len() * 2 > self.slots.len() {
            self.grow();
        }
    }

    fn grow(&mut self) {
        let mask = self.slots.len() * 4 - 1;
        let mut slots = vec![(0, 0); mask + 1];
        for (index, value) in self.column.values.iter().enumerate() {
            let hash = hash(value.as_bytes(), self.seed);
            let mut at = hash as usize & mask;
            while slots.get(at).is_some_and(|slot: &(u32, u32)| slot.0 > 0) {
                at = (at + 1) & mask;
            }
            if let Some(slot) = slots.get_mut(at) {
                *slot = (index as u32 + 1, (hash >> 32) as u32);
            }
        }
        self.slots = slots;
    }
}

/// Folded multiplication, eight bytes at a time, as wyhash does.
fn hash(text: &[u8], seed: u64) -> u64 {
    const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
    let fold = |a: u64, b: u64| {
        let product = u128::from(a) * u128::from(b);
        (product as u64) ^ (product >> 64) as u64
    };
    let mut state = fold(seed ^ text.len() as u64, FACTOR);
    let (words, rest) = text.as_chunks::<8>();
    for word in words {
        state = fold(state ^ u64::from_le_bytes(*word), FACTOR);
    }
    let mut last = [0; 8];
    last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    fold(state ^ u64::from_le_bytes(last), FACTOR ^ seed)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::{Distinct, hash};

    #[test]
    fn each_row_has_its_text_and_each_text_is_there_once() {
        let text = |row: usize| {
            ["", "a", "größer", &row.to_string(), &"long".repeat(row % 40)][row * 7 % 5].to_owned()
        };
        let mut distinct = Distinct::new(0);
        let rows = 20_000;
        (0..rows).for_each(|row| distinct.push(text(row).as_bytes()));
        let column = distinct.column;
        for row in 0..rows {
            assert_eq!(column.values[column.rows[row] as usize], text(row));
        }
        let mut sorted = column.values.clone();
        sorted.sort();
        sorted.dedup();
        assert_eq!(sorted.len(), column.values.len());
        assert!(column.rows.iter().enumerate().all(|(row, &value)| value as usize <= row));
    }

    #[test]
    fn a_hash_depends_on_every_byte_the_length_and_the_seed() {
        let text = b"0123456789abcdefghi";
        let plain = hash(text, 1);
        assert_ne!(plain, hash(text, 2));
        for at in 0..text.len() {
            let mut other = *text;
            other[at] ^= 1;
            assert_ne!(plain, hash(&other, 1));
        }
        assert_ne!(hash(b"a", 1), hash(b"a\0", 1));
    }
}
