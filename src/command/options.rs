//! Options as rows, and the one loop that reads them: what is parsed is what is documented.

use super::CommandError;
use super::spec::{ArgDoc, ArgType, Repeats};
use crate::types::Args;

/// One option of a command whose options are collected in a `T`.
pub(super) struct OptionRow<T> {
    token: &'static str,
    doc: ArgDoc,
    takes: Takes<T>,
}

/// What follows the token of an option, and what is done with it.
enum Takes<T> {
    Nothing(fn(&mut T)),
    Value(fn(&mut T, &[u8]) -> Result<(), CommandError>),
    /// A value of which only the place is remembered, because it outlives the parsing.
    Place(fn(&mut T, usize)),
    /// All the rest, from this place on; at least one argument.
    Rest(fn(&mut T, usize)),
}

impl<T> OptionRow<T> {
    /// A word that says all.
    pub(super) const fn flag(
        token: &'static str,
        name: &'static str,
        summary: &'static str,
        set: fn(&mut T),
    ) -> OptionRow<T> {
        OptionRow::row(token, name, ArgType::Flag, summary, Takes::Nothing(set))
    }

    /// A word and a value.
    pub(super) const fn value(
        token: &'static str,
        name: &'static str,
        kind: ArgType,
        summary: &'static str,
        set: fn(&mut T, &[u8]) -> Result<(), CommandError>,
    ) -> OptionRow<T> {
        OptionRow::row(token, name, kind, summary, Takes::Value(set))
    }

    /// A word and a value of which the place is remembered.
    pub(super) const fn place(
        token: &'static str,
        name: &'static str,
        summary: &'static str,
        set: fn(&mut T, usize),
    ) -> OptionRow<T> {
        OptionRow::row(token, name, ArgType::Text, summary, Takes::Place(set))
    }

    /// A word after which nothing is an option any more. It must be there.
    pub(super) const fn rest(
        token: &'static str,
        name: &'static str,
        summary: &'static str,
        set: fn(&mut T, usize),
    ) -> OptionRow<T> {
        let row = OptionRow::row(token, name, ArgType::Text, summary, Takes::Rest(set));
        let doc = ArgDoc { optional: false, repeats: Repeats::Value, ..row.doc };
        OptionRow { doc, ..row }
    }

    /// The same option, but its values add up instead of replacing each other.
    pub(super) const fn accumulating(self) -> OptionRow<T> {
        let doc = ArgDoc { repeats: Repeats::TokenAndValue, ..self.doc };
        OptionRow { doc, ..self }
    }

    const fn row(
        token: &'static str,
        name: &'static str,
        kind: ArgType,
        summary: &'static str,
        takes: Takes<T>,
    ) -> OptionRow<T> {
        let repeats = Repeats::Never;
        let doc = ArgDoc { name, kind, token: Some(token), optional: true, repeats, summary };
        OptionRow { token, doc, takes }
    }
}

/// The documentation of the rows.
pub(super) const fn docs<T, const N: usize>(rows: &[OptionRow<T>; N]) -> [ArgDoc; N] {
    let mut docs = [ArgDoc::required("", ArgType::Text, ""); N];
    let mut i = 0;
    while i < N {
        docs[i] = rows[i].doc;
        i += 1;
    }
    docs
}

/// Reads the arguments from `first` on into `into`, left to right, so that the first bad one determines the
/// error. What is no option goes to `other`; so does an option that lacks its value.
pub(super) fn parse<T>(
    rows: &[OptionRow<T>],
    args: &Args<'_>,
    first: usize,
    into: &mut T,
    other: fn(&mut T, &[u8]) -> Result<(), CommandError>,
) -> Result<(), CommandError> {
    let mut at = first;
    while let Some(word) = args.get(at) {
        let row = rows.iter().find(|row| row.token.as_bytes().eq_ignore_ascii_case(word));
        let value = args.get(at + 1);
        at += 1;
        match (row.map(|row| &row.takes), value) {
            (Some(Takes::Nothing(set)), _) => set(into),
            (Some(Takes::Value(set)), Some(value)) => {
                set(into, value)?;
                at += 1;
            }
            (Some(Takes::Place(set)), Some(_)) => {
                set(into, at);
                at += 1;
            }
            (Some(Takes::Rest(set)), Some(_)) => {
                set(into, at);
                return Ok(());
            }
            (Some(Takes::Value(_) | Takes::Place(_) | Takes::Rest(_)), None) | (None, _) => {
                other(into, word)?;
            }
        }
    }
    Ok(())
}

/// For commands in which every word must be an option.
pub(super) fn refuse<T>(_: &mut T, _: &[u8]) -> Result<(), CommandError> {
    Err(CommandError::Syntax)
}
