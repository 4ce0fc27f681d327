//! The declaration of a command: its own arguments, the common options it has, and the function that runs it.
//!
//! argh cannot share options between commands, so the macro [`command!`] writes them into each struct. Every common
//! option is declared here and nowhere else. `--help`, shell completions and the handling of `--name=value` all come
//! from the descriptions that argh derives.

use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};

/// The options that every command has.
pub(super) trait OutputOptions {
    /// Reports whether the result is to be one JSON document.
    fn json(&self) -> bool;

    /// Reports whether only the result and errors are to be printed.
    fn quiet(&self) -> bool;
}

/// A command that can be carried out.
pub(super) trait Run: OutputOptions {
    /// Reports whether standard output carries a file's bytes, and so nothing else.
    fn streams(&self) -> bool {
        false
    }

    /// Carries the command out. The result goes to the context's output.
    fn run(self, context: &Context) -> Result<Exit, Failure>;
}

/// Declares a command.
///
/// ```ignore
/// command! {
///     /// The first line of its help.
///     #[argh(subcommand, name = "name", example = "peernet name FILE")]
///     pub(crate) struct Name [tracker, limits] {
///         /// its own options and positional arguments
///         #[argh(positional)]
///         file: String,
///     }
/// }
/// ```
///
/// The groups in brackets are `tracker`, `authority`, `plaintext_port`, `device_label`, `visibility` and `limits`. Every
/// command also has `--json` and `--quiet`. `with Action` after the body adds subcommands, which `subcommands!` declares;
/// the common options of such a command may stand before or after the subcommand.
macro_rules! command {
    ($(#[$($head:tt)*])* pub(crate) struct $name:ident [$($group:ident),*] { $($own:tt)* } $(with $action:ident)?) => {
        command!(@ [$($group)*] [] [$(#[$($head)*])*] $name { $($own)* } [$($action)?]);
    };
    (@ [tracker $($group:ident)*] [$($field:tt)*] $head:tt $name:ident $own:tt $action:tt) => {
        impl $name {
            /// Returns how to reach the tracker, as far as it was typed.
            fn tracker_options(&self) -> $crate::cli::context::TrackerOptions<'_> {
                $crate::cli::context::TrackerOptions {
                    url: self.tracker.as_deref(),
                    tls: self.tracker_tls.as_deref(),
                    allow_plaintext: self.allow_plaintext,
                    ..Default::default()
                }
            }
        }
        command!(@ [$($group)*] [
            $($field)*
            /// the tracker's URL, several URLs of one swarm with commas between them, or a share link that names them
            #[argh(option, arg_name = "url")]
            tracker: Option<String>,
            /// certificates to trust for an https:// tracker: swarm (the swarm's own authority, the default) or public (the
            /// authorities of the public web)
            #[argh(option, arg_name = "swarm|public")]
            tracker_tls: Option<String>,
            /// allow unencrypted connections; anyone on the path can read them
            #[argh(switch)]
            allow_plaintext: bool,
        ] $head $name $own $action);
    };
    (@ [authority $($group:ident)*] [$($field:tt)*] $head:tt $name:ident $own:tt $action:tt) => {
        command!(@ [$($group)*] [
            $($field)*
            /// SHA-256 of the swarm's certificate authority, as its operator publishes it; without it the first
            /// authority seen is trusted
            #[argh(option, arg_name = "hex")]
            ca_fingerprint: Option<String>,
        ] $head $name $own $action);
    };
    (@ [plaintext_port $($group:ident)*] [$($field:tt)*] $head:tt $name:ident $own:tt $action:tt) => {
        command!(@ [$($group)*] [
            $($field)*
            /// port for unencrypted connections, with --allow-plaintext; by default any free port
            #[argh(option, arg_name = "port")]
            plaintext_port: Option<u16>,
        ] $head $name $own $action);
    };
    (@ [device_label $($group:ident)*] [$($field:tt)*] $head:tt $name:ident $own:tt $action:tt) => {
        command!(@ [$($group)*] [
            $($field)*
            /// name of this machine among the account's devices; by default its host name, or the name it already has
            #[argh(option, arg_name = "text")]
            device_label: Option<String>,
        ] $head $name $own $action);
    };
    (@ [visibility $($group:ident)*] [$($field:tt)*] $head:tt $name:ident $own:tt $action:tt) => {
        impl $name {
            /// Returns the access policy that was typed; `None` if none was.
            fn policy(&self) -> Result<Option<$crate::access::AccessPolicy>, $crate::cli::exit::Failure> {
                $crate::cli::visibility::parse(self.public, self.private, &self.with)
            }
        }
        command!(@ [$($group)*] [
            $($field)*
            /// let every member of the swarm download it
            #[argh(switch)]
            public: bool,
            /// let no other account download it
            #[argh(switch)]
            private: bool,
            /// let only this account, or the members of this group of yours, download it; may be repeated
            #[argh(option, arg_name = "peer-id|@group")]
            with: Vec<String>,
        ] $head $name $own $action);
    };
    (@ [limits $($group:ident)*] [$($field:tt)*] $head:tt $name:ident $own:tt $action:tt) => {
        impl $name {
            /// Returns the limits that were typed.
            fn limit_options(&self) -> $crate::cli::limits::LimitOptions {
                $crate::cli::limits::LimitOptions {
                    upload: self.max_upload.clone(),
                    download: self.max_download.clone(),
                    connections: self.max_connections.clone(),
                    memory: self.max_memory.clone(),
                }
            }
        }
        command!(@ [$($group)*] [
            $($field)*
            /// send at most this many bytes a second, for example 500K or 10M; none or 0 removes the limit
            #[argh(option, arg_name = "rate")]
            max_upload: Option<String>,
            /// receive at most this many bytes a second, in the same form
            #[argh(option, arg_name = "rate")]
            max_download: Option<String>,
            /// serve and use at most this many connections at once; none or 0 removes the limit
            #[argh(option, arg_name = "number")]
            max_connections: Option<String>,
            /// hold at most this many bytes of files in memory at once, at least 16M; by default 64M
            #[argh(option, arg_name = "bytes")]
            max_memory: Option<String>,
        ] $head $name $own $action);
    };
    (@ [] [$($field:tt)*] [$($head:tt)*] $name:ident { $($own:tt)* } [$($action:ident)?]) => {
        #[derive(argh::FromArgs, argh::ArgsInfo, Debug)]
        $($head)*
        pub(crate) struct $name {
            $($own)*
            $($field)*
            /// print the result as one JSON document, and progress as JSON lines on standard error
            #[argh(switch)]
            json: bool,
            /// print nothing but the result and errors
            #[argh(switch, short = 'q')]
            quiet: bool,
            $(
                #[argh(subcommand)]
                action: Option<$action>,
            )?
        }

        impl $crate::cli::command::OutputOptions for $name {
            fn json(&self) -> bool {
                self.json $(|| self.action.as_ref().is_some_and(<$action as $crate::cli::command::OutputOptions>::json))?
            }

            fn quiet(&self) -> bool {
                self.quiet $(|| self.action.as_ref().is_some_and(<$action as $crate::cli::command::OutputOptions>::quiet))?
            }
        }
    };
}

/// Declares the enum of the commands on one level, in the order of `--help`.
macro_rules! subcommands {
    ($(#[$head:meta])* pub(crate) enum $name:ident { $($variant:ident),* $(,)? }) => {
        $(#[$head])*
        #[derive(argh::FromArgs, argh::ArgsInfo, Debug)]
        #[argh(subcommand)]
        pub(crate) enum $name {
            $($variant($variant)),*
        }

        impl $crate::cli::command::OutputOptions for $name {
            fn json(&self) -> bool {
                match self {
                    $(Self::$variant(command) => $crate::cli::command::OutputOptions::json(command)),*
                }
            }

            fn quiet(&self) -> bool {
                match self {
                    $(Self::$variant(command) => $crate::cli::command::OutputOptions::quiet(command)),*
                }
            }
        }
    };
}

/// Declares the enum `Command` of all commands and passes [`Run`] on to the one that was typed.
macro_rules! all_commands {
    ($($variant:ident),* $(,)?) => {
        $crate::cli::command::subcommands! {
            /// The command that the user typed.
            pub(crate) enum Command { $($variant),* }
        }

        impl $crate::cli::command::Run for Command {
            fn streams(&self) -> bool {
                match self {
                    $(Self::$variant(command) => $crate::cli::command::Run::streams(command)),*
                }
            }

            fn run(self, context: &$crate::cli::context::Context) -> Result<$crate::cli::exit::Exit, $crate::cli::exit::Failure> {
                match self {
                    $(Self::$variant(command) => $crate::cli::command::Run::run(command, context)),*
                }
            }
        }
    };
}

pub(super) use {all_commands, command, subcommands};
