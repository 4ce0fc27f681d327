//! The program `peernet-tracker`; all of it is in the library.

/// A request makes some dozens of small allocations, on as many threads as there are connections: measured 15 % of a lookup's time
/// with the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ! {
    let args: Vec<String> = std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect();
    std::process::exit(peernet_tracker::cli::run(&args))
}
