//! Makes the simulated conversation out of what `people.rs` holds: the same seed gives the same posts,
//! for ever. Not random in any serious sense; SplitMix64 is enough to pick the next line.

#![forbid(unsafe_code)]

use super::people::{
    ANIMALS, AUTHORS, DRINKS, LINES, MARKUP, PAGES, PLACES, PLANTS, TIMES, TONGUES,
};

/// A post before it becomes JSON. `text` is plain; `stream.rs` escapes it as X does.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) id: u64,
    pub(crate) author: usize,
    pub(crate) text: String,
    pub(crate) lang: &'static str,
    /// (short form in the text, display form, where it leads)
    pub(crate) url: Option<(String, String, String)>,
}

/// Small, seedable, good enough.
#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Rng {
        Rng(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// In `0.0..1.0`.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// An endless conversation.
#[derive(Debug)]
pub(crate) struct Talk {
    rng: Rng,
    next_id: u64,
    last: [usize; 8],
}

impl Talk {
    pub(crate) fn new(seed: u64) -> Talk {
        // Ids look like the real thing's: 19 digits, growing.
        Talk { rng: Rng::new(seed), next_id: 1_990_000_000_000_000_000, last: [usize::MAX; 8] }
    }

    /// The next post, about anything.
    pub(crate) fn next(&mut self) -> Draft {
        self.next_id += 1 + self.rng.next() % 4_000_000;
        let author = self.rng.below(AUTHORS.len());
        if self.rng.chance(4) {
            let text = self.rng.pick(MARKUP).to_owned();
            return Draft { id: self.next_id, author, text, lang: "en", url: None };
        }
        // The same sentence twice on one screen would give the game away.
        let line = loop {
            let line = self.rng.below(LINES.len());
            if !self.last.contains(&line) {
                break line;
            }
        };
        self.last.rotate_right(1);
        self.last[0] = line;
        let (lang, tag, template) = LINES[line];
        let native = TONGUES.iter().find(|(tongue, _)| *tongue == lang);
        let native = native.and_then(|(_, who)| AUTHORS.iter().position(|a| a.1 == *who));
        let author = native.unwrap_or(author);
        let mut text = self.fill(template);
        if self.rng.chance(12) {
            let other = self.rng.below(AUTHORS.len());
            if other != author {
                text = format!("@{} {text}", AUTHORS[other].1);
            }
        }
        let mut url = None;
        if self.rng.chance(18) {
            let (site, path) = self.rng.pick(PAGES);
            let short = format!("https://t.example/{}", self.slug());
            text = format!("{text} {short}");
            url = Some((short, format!("{site}/{path}"), format!("https://{site}/{path}")));
        }
        if self.rng.chance(55) && !text.contains('#') {
            text = format!("{text} #{tag}");
        }
        Draft { id: self.next_id, author, text, lang, url }
    }

    /// Replaces `{}`-style slots by a word of that kind.
    fn fill(&mut self, template: &str) -> String {
        let mut out = String::with_capacity(template.len() + 24);
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('{') {
            out.push_str(before);
            let (kind, after) = after.split_once('}').unwrap_or((after, ""));
            match kind {
                "n" => out.push_str(&(2 + self.rng.below(40)).to_string()),
                "drink" => out.push_str(self.rng.pick(DRINKS)),
                "place" => out.push_str(self.rng.pick(PLACES)),
                "plant" => out.push_str(self.rng.pick(PLANTS)),
                "animal" => out.push_str(self.rng.pick(ANIMALS)),
                "when" => out.push_str(self.rng.pick(TIMES)),
                _ => {}
            }
            rest = after;
        }
        out + rest
    }

    fn slug(&mut self) -> String {
        const LETTERS: &[u8] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
        (0..8).map(|_| char::from(self.rng.pick(LETTERS))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::people::TOPICS;

    #[test]
    fn same_seed_same_posts() {
        let texts = |seed| -> Vec<String> {
            let mut talk = Talk::new(seed);
            (0..200).map(|_| talk.next().text).collect()
        };
        assert_eq!(texts(1), texts(1));
        assert_ne!(texts(1), texts(2));
    }

    #[test]
    fn fits_and_has_a_topic() {
        let mut talk = Talk::new(7);
        for _ in 0..2_000 {
            let post = talk.next();
            assert!(post.text.chars().count() <= 280, "{}", post.text);
            assert!(
                !post.text.contains(['{', '}']) || post.text.contains("tea();"),
                "{}",
                post.text
            );
            let low = post.text.to_lowercase();
            assert!(TOPICS.iter().any(|t| low.contains(&format!("#{t}"))), "{}", post.text);
        }
    }
}
