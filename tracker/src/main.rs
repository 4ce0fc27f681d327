//! The program `peernet-tracker`; all of it is in the library.

fn main() -> ! {
    let args: Vec<String> = std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect();
    std::process::exit(peernet_tracker::cli::run(&args))
}
