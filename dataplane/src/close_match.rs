//! The name that a caller may have meant. Only refused requests come here, but a caller's mistake may come often.

const CUTOFF: f64 = 0.6;
const MOST: usize = 64; // of the word's characters: each has a bit

/// Python's `difflib.get_close_matches(word[:64], possibilities, n=1)`: the most similar one, if any is similar
/// enough; of equally similar ones the greatest.
pub fn close_match<'a>(word: &str, possibilities: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let mut matcher = Matcher::new(word);
    let mut best = (CUTOFF, None);
    for possibility in possibilities {
        if let Some(ratio) = matcher.ratio(possibility, best.0)
            && (ratio, Some(possibility)) > best
        {
            best = (ratio, Some(possibility));
        }
    }
    best.1
}

/// `difflib.SequenceMatcher`: what two sequences have in common, by their longest matching blocks.
struct Matcher {
    word: Vec<char>,
    /// For each character of the other sequence: the places in `word` that have it too, one bit each.
    places: Vec<u64>,
}

/// Two ranges that are still to be compared: of the other sequence, and of the word.
#[derive(Clone, Copy)]
struct Gap {
    other: (usize, usize),
    word: (usize, usize),
}

/// `size` equal characters, from these two places on.
#[derive(Clone, Copy, Default)]
struct Match {
    other: usize,
    word: usize,
    size: usize,
}

impl Matcher {
    fn new(word: &str) -> Self {
        Self { word: word.chars().take(MOST).collect(), places: Vec::new() }
    }

    /// Twice the characters in common, of all characters; perhaps none if that is below `least`.
    fn ratio(&mut self, other: &str, least: f64) -> Option<f64> {
        let (mine, others) = (self.word.len(), other.chars().count());
        let ratio =
            |common| if mine + others == 0 { 1.0 } else { f64::from(2 * common) / (mine + others) as f64 };
        // What cannot be in common spares most names the search.
        if ratio(mine.min(others) as u32) < least {
            return None;
        }
        self.places.clear();
        self.places.extend(other.chars().map(|character| places_of(character, &self.word)));
        let of_word = self.places.iter().fold(0, |all, places| all | places).count_ones();
        (ratio(of_word) >= least).then(|| ratio(self.in_common() as u32))
    }

    fn in_common(&self) -> usize {
        let mut gaps = vec![Gap { other: (0, self.places.len()), word: (0, self.word.len()) }];
        let mut common = 0;
        while let Some(gap) = gaps.pop() {
            let found = self.longest_match(gap);
            if found.size == 0 {
                continue;
            }
            common += found.size;
            let (other_end, word_end) = (found.other + found.size, found.word + found.size);
            gaps.push(Gap { other: (gap.other.0, found.other), word: (gap.word.0, found.word) });
            gaps.push(Gap { other: (other_end, gap.other.1), word: (word_end, gap.word.1) });
        }
        common
    }

    /// The longest match within the gap; of several, the one that starts first in the other sequence, then in
    /// the word.
    fn longest_match(&self, gap: Gap) -> Match {
        let within = bits_below(gap.word.1) & !bits_below(gap.word.0);
        let mut best = Match::default();
        let mut ending_before = [0_u8; MOST + 1];
        for (i, places) in self.places.iter().enumerate().take(gap.other.1).skip(gap.other.0) {
            // ending[j + 1]: how long the match is that ends at the other's place i and the word's place j.
            let mut ending = [0_u8; MOST + 1];
            let mut left = places & within;
            while left != 0 {
                let j = left.trailing_zeros() as usize;
                left &= left - 1;
                let size = ending_before.get(j).copied().unwrap_or_default() + 1;
                if let Some(ending) = ending.get_mut(j + 1) {
                    *ending = size;
                }
                let size = usize::from(size);
                if size > best.size {
                    best = Match { other: i + 1 - size, word: j + 1 - size, size };
                }
            }
            ending_before = ending;
        }
        best
    }
}

/// One bit for each place in `word` that has this character.
fn places_of(character: char, word: &[char]) -> u64 {
    let equal = word.iter().map(|&each| u64::from(each == character));
    equal.rev().fold(0, |places, bit| places << 1 | bit)
}

fn bits_below(place: usize) -> u64 {
    1_u64.checked_shl(place as u32).map_or(u64::MAX, |bit| bit - 1)
}

#[cfg(test)]
mod tests {
    use super::close_match;

    fn close(word: &str, possibilities: &[&'static str]) -> Option<&'static str> {
        close_match(word, possibilities.iter().copied())
    }

    #[test]
    fn finds_what_was_meant_as_difflib_does() {
        let names = ["distance", "departure_delay", "carrier", "temperature"];
        assert_eq!(close("distnce", &names), Some("distance"));
        assert_eq!(close("delay_departure", &names), Some("departure_delay"));
        assert_eq!(close("carier", &names), Some("carrier"));
        assert_eq!(close("wind", &names), None);
        assert_eq!(close("", &names), None);
        assert_eq!(close("x", &[]), None);
    }

    #[test]
    fn six_of_ten_characters_are_just_close_enough() {
        assert_eq!(close("abcxx", &["abcyy"]), Some("abcyy"));
        assert_eq!(close("abxxx", &["abyyy"]), None);
    }

    #[test]
    fn of_equally_close_names_the_greatest_is_taken() {
        assert_eq!(close("ab", &["aba", "abz", "abc"]), Some("abz"));
    }

    #[test]
    fn the_order_of_the_blocks_counts() {
        // What precedes and what follows the longest block are compared apart, as difflib does.
        assert_eq!(close("abcd_efgh", &["efgh_abcd"]), None);
        assert_eq!(close("qabxcd", &["qycdf"]), None);
        assert_eq!(close("private", &["primal", "primate"]), Some("primate"));
    }
}
