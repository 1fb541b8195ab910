//! The macro that turns the table of parameters into the typed configuration and its description.

use std::fmt;

/// When a parameter may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Read once, when the server starts.
    AtStart,
    /// By CONFIG SET too.
    AtRunTime,
}

/// A group of parameters that belong together.
#[derive(Debug)]
pub struct Section {
    /// Its heading in `disque.conf`.
    pub title: &'static str,
    /// Its parameters, in the order of `disque.conf`.
    pub parameters: &'static [super::Parameter],
}

/// A set of parameters.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct ParameterSet(u64);

impl ParameterSet {
    /// Adds `parameter`.
    pub fn insert(&mut self, parameter: super::Parameter) {
        self.0 |= 1 << parameter as u32;
    }

    /// Whether `parameter` is in the set.
    pub fn contains(self, parameter: super::Parameter) -> bool {
        self.0 & 1 << parameter as u32 != 0
    }
}

impl fmt::Debug for ParameterSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(super::Parameter::ALL.iter().filter(|p| self.contains(**p))).finish()
    }
}

/// Makes of rows
///
/// ```text
/// /// What it is for. How to choose it.
/// Variant = "name-in-files", field: Type = default, AtStart, in 0..=9, check function;
/// ```
///
/// the struct [`Config`](super::Config) with a field for each, the enum [`Parameter`](super::Parameter) that
/// names them, and the functions that go from one to the other. `in` and `check` are optional.
macro_rules! parameters {
    ($(
        $title:literal {
            $(
                $(#[doc = $doc:literal])+
                $variant:ident = $name:literal, $field:ident: $type:ty = $default:expr, $change:ident
                $(, in $range:expr)? $(, check $check:path)? ;
            )+
        }
    )+) => {
        /// Everything an operator can choose. Start with [`Config::default`] or [`load`](super::load).
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Config {
            $($( $(#[doc = $doc])+ pub $field: $type, )+)+

            /// Parameters that an included file sets, be it overridden later. CONFIG REWRITE must write these
            /// below the `include`, or the included file would win at the next start.
            pub set_by_includes: ParameterSet,
        }

        impl Default for Config {
            fn default() -> Config {
                Config {
                    $($( $field: $default, )+)+
                    set_by_includes: ParameterSet::default(),
                }
            }
        }

        /// The name of a parameter.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Parameter {
            $($(
                #[doc = concat!("`", $name, "`")]
                $variant,
            )+)+
        }

        impl Parameter {
            /// All parameters, in the order of `disque.conf`.
            pub const ALL: &[Parameter] = &[$($( Parameter::$variant, )+)+];

            /// All parameters, by subject.
            pub const SECTIONS: &[Section] =
                &[$( Section { title: $title, parameters: &[$( Parameter::$variant, )+] }, )+];

            /// What it is called in files, on the command line and by CONFIG.
            pub const fn name(self) -> &'static str {
                match self {
                    $($( Parameter::$variant => $name, )+)+
                }
            }

            /// What it is for and how to choose it, in lines. The first says what it is.
            pub const fn doc(self) -> &'static [&'static str] {
                match self {
                    $($( Parameter::$variant => &[$($doc),+], )+)+
                }
            }

            /// When it may change.
            pub const fn change(self) -> Change {
                match self {
                    $($( Parameter::$variant => Change::$change, )+)+
                }
            }

            /// Whether its value is made of several words.
            pub(super) const fn takes_many_words(self) -> bool {
                match self {
                    $($( Parameter::$variant => <$type as Value>::MANY_WORDS, )+)+
                }
            }
        }

        impl Config {
            /// Reads `words` as the value of `parameter`; leaves all as it was if they are none.
            pub(super) fn assign(&mut self, parameter: Parameter, words: &[&[u8]]) -> Result<(), ValueError> {
                match parameter {
                    $($( Parameter::$variant => {
                        let value = <$type as Value>::parse(words);
                        $( let value = value.map_err(|error| error.within(&$range)); )?
                        let value = value?;
                        $( check_range(&value, &$range)?; )?
                        $( $check(&value)?; )?
                        Value::replace(&mut self.$field, value);
                    } )+)+
                }
                Ok(())
            }

            /// The value of `parameter`, as CONFIG GET answers it.
            pub(super) fn show(&self, parameter: Parameter) -> Vec<u8> {
                match parameter {
                    $($( Parameter::$variant => Value::show(&self.$field), )+)+
                }
            }

            /// The value of `parameter`, as a file holds it; `None` if no line at all says it best.
            pub(super) fn write(&self, parameter: Parameter) -> Option<Vec<u8>> {
                match parameter {
                    $($( Parameter::$variant => Value::write(&self.$field), )+)+
                }
            }
        }
    };
}

pub(super) use parameters;
