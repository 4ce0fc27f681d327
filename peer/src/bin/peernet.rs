//! The `peernet` program. All of it is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    peernet::malloc::tune_for_transfers();
    peernet::malloc::silence_grpc_log();
    peernet::malloc::raise_open_files_limit();
    peernet::cli::main()
}
