//! The `peernet` program: everything is in the library, so that embedding programs can do the same.

use std::process::ExitCode;

fn main() -> ExitCode {
    peernet::malloc::tune_for_transfers();
    peernet::malloc::silence_grpc_log();
    peernet::malloc::raise_open_files_limit();
    peernet::cli::main()
}
