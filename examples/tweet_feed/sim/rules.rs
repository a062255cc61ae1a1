//! The rule language of X's filtered stream, as much of it as a feed of short texts needs:
//! keywords, `"phrases"`, `"two words"~N`, `#tag`, `@user`, `from:`, `url:`, `lang:`, `has:`,
//! `is:`, `sample:`, negation, groups, and AND (a space) binding tighter than OR.
//! Pure: text in, tree out, tree and post in, yes or no out.

#![forbid(unsafe_code)]

use crate::post::words_after;
use crate::sim::people::AUTHORS;
use crate::sim::talk::Draft;

/// A parsed rule.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Rule {
    Any(Vec<Rule>),
    All(Vec<Rule>),
    Not(Box<Rule>),
    Word(String),
    /// Words in this order; with a distance, in any order and at most that many words apart.
    Phrase(Vec<String>, Option<usize>),
    Tag(String),
    Mention(String),
    From(String),
    Url(String),
    Lang(String),
    Has(&'static str),
    /// `is:retweet` and the like: the simulated people only write plain posts.
    Never,
    Sample(u64),
}

/// Parses and checks a rule. The message of an error is what the API answers as `detail`.
pub(crate) fn parse(text: &str) -> Result<Rule, String> {
    if text.trim().is_empty() {
        return Err("Rule is empty".into());
    }
    if text.chars().count() > 1024 {
        return Err("Rule is longer than 1024 characters".into());
    }
    let tokens = tokens(text)?;
    let mut parser = Parser { tokens: &tokens, at: 0 };
    let rule = parser.any()?;
    if parser.at < tokens.len() {
        return Err("missing ( for )".into());
    }
    if !rule.standalone() {
        return Err("needs a keyword, #tag, @user or the like besides its other operators".into());
    }
    Ok(rule)
}

#[derive(Debug, PartialEq)]
enum Token {
    Open,
    Close,
    Or,
    Minus,
    Term(String),
    Quoted(String, Option<usize>),
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut out = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let after = &rest[first.len_utf8()..];
        rest = match first {
            '(' => (out.push(Token::Open), after).1,
            ')' => (out.push(Token::Close), after).1,
            '-' => (out.push(Token::Minus), after).1,
            '"' => {
                let (phrase, mut after) = after.split_once('"').ok_or("missing closing quote")?;
                let mut near = None;
                if let Some(tail) = after.strip_prefix('~') {
                    let digits = tail.find(|c: char| !c.is_ascii_digit()).unwrap_or(tail.len());
                    near = Some(tail[..digits].parse().map_err(|_| "~ needs a number")?);
                    after = &tail[digits..];
                }
                out.push(Token::Quoted(phrase.to_lowercase(), near));
                after
            }
            _ => {
                let end = rest
                    .find(|c: char| c.is_whitespace() || "()\"".contains(c))
                    .unwrap_or(rest.len());
                let term = &rest[..end];
                // OR counts only in capitals; `or` is a word like any other.
                out.push(if term == "OR" { Token::Or } else { Token::Term(term.to_lowercase()) });
                &rest[end..]
            }
        }
        .trim_start();
    }
    Ok(out)
}

struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
}

impl Parser<'_> {
    fn any(&mut self) -> Result<Rule, String> {
        let mut parts = vec![self.all()?];
        while self.tokens.get(self.at) == Some(&Token::Or) {
            self.at += 1;
            parts.push(self.all()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Rule::Any(parts) })
    }

    fn all(&mut self) -> Result<Rule, String> {
        let mut parts = Vec::new();
        while !matches!(self.tokens.get(self.at), None | Some(Token::Or | Token::Close)) {
            parts.push(self.one()?);
        }
        match parts.len() {
            0 => Err("an OR or a bracket has nothing beside it".into()),
            1 => Ok(parts.remove(0)),
            _ => Ok(Rule::All(parts)),
        }
    }

    fn one(&mut self) -> Result<Rule, String> {
        let token = self.tokens.get(self.at).ok_or("unexpected end")?;
        self.at += 1;
        match token {
            Token::Open => {
                let inner = self.any()?;
                if self.tokens.get(self.at) != Some(&Token::Close) {
                    return Err("missing )".into());
                }
                self.at += 1;
                Ok(inner)
            }
            Token::Minus => match self.tokens.get(self.at) {
                Some(Token::Term(_) | Token::Quoted(..)) => Ok(Rule::Not(Box::new(self.one()?))),
                _ => Err("- goes before a single operator only".into()),
            },
            Token::Term(term) => operator(term),
            Token::Quoted(text, near) => {
                let words: Vec<String> = words(text).map(str::to_owned).collect();
                if words.is_empty() {
                    Err("empty phrase".into())
                } else {
                    Ok(Rule::Phrase(words, *near))
                }
            }
            Token::Or | Token::Close => Err("unexpected OR or )".into()),
        }
    }
}

fn operator(term: &str) -> Result<Rule, String> {
    if let Some(tag) = term.strip_prefix('#').filter(|t| !t.is_empty()) {
        return Ok(Rule::Tag(tag.into()));
    }
    if let Some(user) = term.strip_prefix('@').filter(|u| !u.is_empty()) {
        return Ok(Rule::Mention(user.into()));
    }
    let Some((name, value)) = term.split_once(':').filter(|(_, value)| !value.is_empty()) else {
        return match words(term).next() {
            Some(_) => Ok(Rule::Word(term.into())),
            None => Err(format!("`{term}` is not an operator")),
        };
    };
    match (name, value) {
        ("from", user) => Ok(Rule::From(user.trim_start_matches('@').into())),
        ("url", part) => Ok(Rule::Url(part.into())),
        ("lang", code) => Ok(Rule::Lang(code.into())),
        ("has", "links") => Ok(Rule::Has("links")),
        ("has", "hashtags") => Ok(Rule::Has("hashtags")),
        ("has", "mentions") => Ok(Rule::Has("mentions")),
        ("has", "images" | "media" | "geo") => Ok(Rule::Never),
        ("is", "retweet" | "reply" | "quote" | "verified" | "nullcast") => Ok(Rule::Never),
        ("sample", percent) => match percent.parse() {
            Ok(n @ 1..=100) => Ok(Rule::Sample(n)),
            _ => Err("sample: takes 1 to 100".into()),
        },
        _ => Err(format!("`{name}:` is not an operator that the simulator knows")),
    }
}

impl Rule {
    /// Whether the rule names something to look for in every alternative; `lang:en` alone would be
    /// the whole stream, so X refuses it.
    fn standalone(&self) -> bool {
        match self {
            Rule::Any(parts) => parts.iter().all(Rule::standalone),
            Rule::All(parts) => parts.iter().any(Rule::standalone),
            Rule::Not(_) | Rule::Lang(_) | Rule::Has(_) | Rule::Never | Rule::Sample(_) => false,
            _ => true,
        }
    }

    pub(crate) fn matches(&self, post: &Draft) -> bool {
        let text = post.text.to_lowercase();
        self.holds(post, &text)
    }

    fn holds(&self, post: &Draft, text: &str) -> bool {
        match self {
            Rule::Any(parts) => parts.iter().any(|p| p.holds(post, text)),
            Rule::All(parts) => parts.iter().all(|p| p.holds(post, text)),
            Rule::Not(part) => !part.holds(post, text),
            Rule::Word(word) => words(text).any(|w| w == word.as_str()),
            Rule::Phrase(phrase, near) => phrase_in(phrase, *near, text),
            Rule::Tag(tag) => words_after(text, '#').any(|(_, t)| t == tag),
            Rule::Mention(user) => words_after(text, '@').any(|(_, u)| u == user),
            Rule::From(user) => AUTHORS[post.author].1 == user,
            Rule::Url(part) => post.url.as_ref().is_some_and(|u| u.2.to_lowercase().contains(part)),
            Rule::Lang(code) => post.lang == code,
            Rule::Has("links") => post.url.is_some(),
            Rule::Has("hashtags") => words_after(text, '#').next().is_some(),
            Rule::Has(_) => words_after(text, '@').next().is_some(),
            Rule::Never => false,
            Rule::Sample(percent) => {
                post.id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32 < percent * 42_949_672
            }
        }
    }
}

/// Words as the matcher sees them: runs of letters, digits and `_`. `#tea` holds the word `tea`.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|w| !w.is_empty())
}

fn phrase_in(phrase: &[String], near: Option<usize>, text: &str) -> bool {
    let text: Vec<&str> = words(text).collect();
    let window = phrase.len() + near.unwrap_or(0);
    (0..text.len()).any(|at| {
        let part = &text[at..text.len().min(at + window)];
        match near {
            None => part.len() == phrase.len() && part.iter().zip(phrase).all(|(a, b)| a == b),
            Some(_) => phrase.iter().all(|word| part.contains(&word.as_str())),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post(text: &str) -> Draft {
        Draft { id: 1, author: 0, text: text.into(), lang: "en", url: None }
    }

    fn hits(rule: &str, text: &str) -> bool {
        parse(rule).unwrap_or_else(|e| panic!("{rule}: {e}")).matches(&post(text))
    }

    #[test]
    fn words_not_parts_of_words() {
        assert!(hits("tea", "Green TEA!"));
        assert!(hits("tea", "more #tea"));
        assert!(!hits("tea", "teapot"));
        assert!(!hits("cafe", "café"));
    }

    #[test]
    fn and_binds_tighter() {
        // a OR (b c)
        assert!(hits("a OR b c", "a"));
        assert!(!hits("a OR b c", "b"));
        assert!(hits("(a OR b) c", "b c"));
        assert!(!hits("(a OR b) c", "a"));
        assert!(hits("a or", "a or b"));
    }

    #[test]
    fn operators() {
        assert!(hits("\"green threads\"", "two green, threads"));
        assert!(!hits("\"green threads\"", "green old threads"));
        assert!(hits("\"threads green\"~1", "green old threads"));
        assert!(!hits("\"threads green\"~1", "green and old threads"));
        assert!(hits("#tea -coffee", "#tea"));
        assert!(!hits("#tea -coffee", "#tea coffee"));
        assert!(!hits("#tea", "tea"));
        assert!(hits("@ada", "hi @Ada!"));
        assert!(hits("from:mira_okafor lang:en -is:retweet", "x"));
        assert!(hits("tea has:hashtags", "tea #x"));
        assert!(!hits("tea has:links", "tea #x"));
    }

    #[test]
    fn refused() {
        for rule in [
            "",
            "lang:en",
            "-tea",
            "has:links -is:retweet",
            "(tea",
            "tea)",
            "OR tea",
            "tea OR",
            "()",
            "-(tea coffee)",
            "\"open",
            "tea sample:0",
            "bogus:x",
            "\"\"",
            "tea OR lang:en",
            "-",
            "!",
        ] {
            assert!(parse(rule).is_err(), "{rule}");
        }
    }

    #[test]
    fn sample_is_a_share() {
        let rule = parse("a sample:25").unwrap();
        let hit = |id| rule.matches(&Draft { id, ..post("a") });
        let n = (0..10_000).filter(|id| hit(*id)).count();
        assert!((2_000..3_000).contains(&n), "{n}");
    }
}
