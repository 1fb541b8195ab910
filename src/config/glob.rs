//! Shell-like patterns for names, as CONFIG GET takes them.

/// Whether `text` matches `pattern`; letters match in either case.
///
/// `*` is any run of bytes, `?` one byte, `[a-c]` one of a set, `[^a-c]` one outside of it, and `\` takes the
/// next byte for what it is. A set that is not closed ends with the pattern. Takes at most pattern × text
/// steps: after a mismatch only the last `*` is widened, since an earlier one could not do better.
pub(super) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let mut pattern = pattern;
    let mut text = text;
    let mut last_star: Option<(&[u8], &[u8])> = None;
    loop {
        if let [b'*', after @ ..] = pattern {
            pattern = after;
            last_star = Some((after, text));
            continue;
        }
        if pattern.is_empty() && text.is_empty() {
            return true;
        }
        if let [byte, text_after @ ..] = text
            && let Some(pattern_after) = match_one(pattern, *byte)
        {
            (pattern, text) = (pattern_after, text_after);
            continue;
        }
        let Some((star_pattern, [_, star_text @ ..])) = last_star else { return false };
        last_star = Some((star_pattern, star_text));
        (pattern, text) = (star_pattern, star_text);
    }
}

/// Matches `byte` with the first element of `pattern`, which is not `*`; returns the rest of the pattern.
fn match_one(pattern: &[u8], byte: u8) -> Option<&[u8]> {
    match pattern {
        [] => None,
        [b'?', after @ ..] => Some(after),
        [b'[', set @ ..] => match_set(set, byte),
        [b'\\', plain, after @ ..] | [plain, after @ ..] => {
            plain.eq_ignore_ascii_case(&byte).then_some(after)
        }
    }
}

fn match_set(set: &[u8], byte: u8) -> Option<&[u8]> {
    let (negated, mut set) = match set {
        [b'^', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let byte = byte.to_ascii_lowercase();
    let mut found = false;
    loop {
        let (low, high, after) = match set {
            [] => break,
            [b']', after @ ..] => {
                set = after;
                break;
            }
            [b'\\', plain, after @ ..] => (*plain, *plain, after),
            [low, b'-', high, after @ ..] => (*low, *high, after),
            [plain, after @ ..] => (*plain, *plain, after),
        };
        let (low, high) = (low.to_ascii_lowercase(), high.to_ascii_lowercase());
        found |= (low.min(high)..=low.max(high)).contains(&byte);
        set = after;
    }
    (found != negated).then_some(set)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn m(pattern: &str, text: &str) -> bool {
        matches(pattern.as_bytes(), text.as_bytes())
    }

    #[test]
    fn plain_patterns_match_themselves_in_any_case() {
        assert!(m("maxmemory", "maxmemory") && m("MaxMemory", "maxmemory"));
        assert!(!m("maxmemory", "maxmemory-policy") && !m("maxmemory-policy", "maxmemory"));
        assert!(m("", "") && !m("", "a"));
    }

    #[test]
    fn stars_and_question_marks_stand_for_anything() {
        assert!(m("*", "") && m("*", "port") && m("***", "port") && m("p*t", "port") && m("*o*t", "port"));
        assert!(m("p??t", "port") && !m("p?t", "port") && !m("?", "") && !m("p*x", "port"));
        assert!(m("*ab*ab", "abxabyab") && !m("*ab*abc", "abxabyab"));
    }

    #[test]
    fn sets_match_one_byte_of_theirs() {
        assert!(
            m("[pq]ort", "port") && m("[o-q]ort", "port") && m("[q-o]ort", "port") && m("[O-Q]ort", "port")
        );
        assert!(
            !m("[^p]ort", "port") && m("[^q]ort", "port") && !m("[qr]ort", "port") && !m("[]port", "port")
        );
        assert!(m("[\\]]", "]") && m("[ab", "a") && !m("[", "a"));
    }

    #[test]
    fn a_backslash_takes_the_next_byte_literally() {
        assert!(m("\\*", "*") && !m("\\*", "a") && m("a\\", "a\\"));
    }

    #[test]
    fn many_stars_take_no_exponential_time() {
        assert!(!m(&"*a".repeat(500), &"a".repeat(499)));
    }

    /// The meaning of the pattern language, without regard for speed.
    fn naive(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern, text) {
            ([], []) => true,
            ([b'*', after @ ..], _) => (0..=text.len()).any(|skip| naive(after, &text[skip..])),
            (_, [byte, text_after @ ..]) => {
                match_one(pattern, *byte).is_some_and(|after| naive(after, text_after))
            }
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_naive_matcher(pattern in "[ab*?^\\[\\]\\\\-]{0,8}", text in "[abc]{0,8}") {
            prop_assert_eq!(m(&pattern, &text), naive(pattern.as_bytes(), text.as_bytes()));
        }

        #[test]
        fn any_bytes_are_a_pattern(pattern: Vec<u8>, text: Vec<u8>) {
            let _ = matches(&pattern, &text);
        }
    }
}
