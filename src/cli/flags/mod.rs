//! The flags of `docker run` and podman's besides, one table a topic: each line becomes a field of the struct, a clap
//! argument, a line of the help, of the man page and of the completions.
//!
//! The values stay words here. [`Request::resolve`](crate::request::Request::resolve) takes the structs apart without
//! `..`, so a flag that is added here and forgotten there does not compile.

mod container;
mod image;
mod isolation;
mod kind;
mod mounts;
mod network;
mod own;
mod process;
mod resources;

pub use container::ContainerFlags;
pub use image::ImageFlags;
pub use isolation::IsolationFlags;
pub use kind::{FlagKind, List, Maybe, Switch, Text};
pub use mounts::MountFlags;
pub use network::NetworkFlags;
pub use own::OwnFlags;
pub use process::ProcessFlags;
pub use resources::ResourceFlags;

/// Makes a struct of flags and its `clap::Args`. A line reads
/// `field: Kind("long" 'short', "value name" | "hidden older name");` under its help.
macro_rules! flags {
    ($(#[$outer:meta])* pub struct $name:ident, $heading:literal {
        $( #[doc = $help:literal] $field:ident : $kind:ident ( $long:literal $($short:literal)? $(, $value:literal)? $(| $alias:literal)* ); )*
    }) => {
        $(#[$outer])*
        #[derive(Debug, Clone, Default, PartialEq)]
        pub struct $name {
            $( #[doc = $help] pub $field: <$crate::cli::flags::$kind as $crate::cli::flags::FlagKind>::Value, )*
        }

        impl clap::FromArgMatches for $name {
            fn from_arg_matches(matches: &clap::ArgMatches) -> Result<Self, clap::Error> {
                Self::from_arg_matches_mut(&mut matches.clone())
            }
            fn from_arg_matches_mut(matches: &mut clap::ArgMatches) -> Result<Self, clap::Error> {
                use $crate::cli::flags::FlagKind as _;
                Ok($name { $( $field: $crate::cli::flags::$kind::take(matches, $long), )* })
            }
            fn update_from_arg_matches(&mut self, matches: &clap::ArgMatches) -> Result<(), clap::Error> {
                *self = Self::from_arg_matches(matches)?;
                Ok(())
            }
        }

        impl clap::Args for $name {
            fn augment_args(command: clap::Command) -> clap::Command {
                use $crate::cli::flags::FlagKind as _;
                command $( .arg({
                    #[allow(unused_mut, reason = "only some lines have the optional parts")]
                    let mut arg = $crate::cli::flags::$kind::shape(clap::Arg::new($long).long($long))
                        .help($help.trim_start())
                        .help_heading($heading);
                    $( arg = arg.short($short); )?
                    $( arg = arg.value_name($value); )?
                    $( arg = arg.alias($alias); )*
                    arg
                }) )*
            }
            fn augment_args_for_update(command: clap::Command) -> clap::Command {
                Self::augment_args(command)
            }
        }
    };
}
pub(crate) use flags;
