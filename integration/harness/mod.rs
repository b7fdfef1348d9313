//! What the cases are written with: outcomes, the environment, commands with time limits, terminals, and views of the
//! host's kernel.

pub mod command;
pub mod env;
pub mod filter;
pub mod fixtures;
pub mod helper;
pub mod host;
pub mod leaks;
pub mod peers;
pub mod pty;
pub mod raw;
pub mod registry;
pub mod runner;

pub use command::{Output, Run};
pub use env::Env;

/// Why a case did not pass.
#[derive(Debug)]
pub enum Stop {
    /// Something was not as promised.
    Fail(String),
    /// It cannot be tried here; the reason is printed and counted.
    Skip(String),
}

pub type Outcome<T = ()> = Result<T, Stop>;

/// One case: a name that a filter matches on, and what it does.
#[derive(Clone, Copy)]
pub struct Case {
    pub name: &'static str,
    pub run: fn(&Env) -> Outcome,
    /// Looks at the whole machine (mounts, processes): never at the same time as another case.
    pub alone: bool,
}

/// A list of cases out of functions; the module's name is put before theirs. `alone fn` for cases that watch the host.
#[macro_export]
macro_rules! cases {
    ($group:literal: $($(@$alone:ident)? $f:ident),+ $(,)?) => {
        pub const CASES: &[$crate::harness::Case] = &[
            $($crate::harness::Case {
                name: concat!($group, "::", stringify!($f)),
                run: $f,
                alone: $crate::cases!(@alone $($alone)?),
            }),+
        ];
    };
    (@alone) => { false };
    (@alone alone) => { true };
}

pub fn fail<T>(why: impl Into<String>) -> Outcome<T> {
    Err(Stop::Fail(why.into()))
}

/// Something that a case needs is not on this machine: a skip, and a failure where $HARDRUN_INSTALLED says that all of it was installed.
pub fn absent<T>(what: impl Into<String>) -> Outcome<T> {
    if std::env::var_os("HARDRUN_INSTALLED").is_some() { fail(what) } else { skip(what) }
}

pub fn skip<T>(why: impl Into<String>) -> Outcome<T> {
    Err(Stop::Skip(why.into()))
}

impl<E: std::error::Error> From<E> for Stop {
    fn from(e: E) -> Stop {
        Stop::Fail(e.to_string())
    }
}

/// Fail the case unless the condition holds.
#[macro_export]
macro_rules! check {
    ($cond:expr) => {
        if !$cond {
            return $crate::harness::fail(format!("{}:{}: not so: {}", file!(), line!(), stringify!($cond)));
        }
    };
    ($cond:expr, $($why:tt)+) => {
        if !$cond {
            return $crate::harness::fail(format!("{}:{}: {}", file!(), line!(), format!($($why)+)));
        }
    };
}

/// Fail the case unless both are equal.
#[macro_export]
macro_rules! check_eq {
    ($got:expr, $want:expr) => { $crate::check_eq!($got, $want, "{}", stringify!($got)) };
    ($got:expr, $want:expr, $($why:tt)+) => {
        // A match keeps what the two expressions borrow from alive.
        match (&$got, &$want) {
            (got, want) => if got != want {
                return $crate::harness::fail(format!(
                    "{}:{}: {}\n      got  {:?}\n      want {:?}", file!(), line!(), format!($($why)+), got, want
                ));
            }
        }
    };
}
