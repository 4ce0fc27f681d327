//! The `peernet` program. All of it is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    peernet::tune_for_transfers();
    peernet::internals::silence_grpc_log();
    peernet::internals::raise_open_files_limit();
    peernet::cli::main()
}
