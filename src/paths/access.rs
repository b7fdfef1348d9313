//! Letters of access.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A set of: `m` map as code, `r` read, `w` write, make and remove, `k` lock, `l` link, `x` execute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Access(u8);

/// In the order in which they are written.
const LETTERS: [char; 6] = ['m', 'r', 'w', 'k', 'l', 'x'];

impl Access {
    pub const MAP: Access = Access(1);
    pub const READ: Access = Access(1 << 1);
    pub const WRITE: Access = Access(1 << 2);
    pub const LOCK: Access = Access(1 << 3);
    pub const LINK: Access = Access(1 << 4);
    pub const EXECUTE: Access = Access(1 << 5);
    pub const ALL: Access = Access((1 << 6) - 1);

    /// `mrwklx` in any order; `ix` is `x`: what is executed stays under the same policy.
    ///
    /// # Errors
    /// No letter, or another one.
    pub fn parse(text: &str) -> Result<Access> {
        let mut set = Access::default();
        for letter in text.replace("ix", "x").chars() {
            let at = LETTERS.iter().position(|l| *l == letter).ok_or_else(|| {
                Error::runner(format!("{text:?} is not an access")).hint(match letter {
                    'a' => "appending cannot be allowed without writing everywhere: w",
                    'p' | 'P' | 'c' | 'C' | 'u' | 'U' => "a program stays under the container's own policy: ix",
                    _ => "letters of mrwklx, as in apparmor.d(5)",
                })
            })?;
            set = set | Access(1 << at);
        }
        if set == Access::default() {
            return Err(Error::runner("an access names no letter").hint("letters of mrwklx, as in apparmor.d(5)"));
        }
        Ok(set)
    }

    pub fn contains(self, other: Access) -> bool {
        self.0 & other.0 == other.0
    }

    pub fn intersects(self, other: Access) -> bool {
        self.0 & other.0 != 0
    }

    /// As an AppArmor rule that allows says it: `x` has to say that the profile stays.
    pub fn allowing(self) -> String {
        self.to_string().replace('x', "ix")
    }
}

impl std::ops::BitOr for Access {
    type Output = Access;
    fn bitor(self, other: Access) -> Access {
        Access(self.0 | other.0)
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        LETTERS.iter().enumerate().filter(|(at, _)| self.0 & 1 << at != 0).try_for_each(|(_, l)| write!(f, "{l}"))
    }
}

impl From<Access> for String {
    fn from(access: Access) -> String {
        access.to_string()
    }
}

impl TryFrom<String> for Access {
    type Error = Error;
    fn try_from(text: String) -> Result<Access> {
        Access::parse(&text)
    }
}
