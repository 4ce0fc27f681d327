//! The door with nothing behind it: what a request costs before any work is done. Prints its address; ends at end of input.
//!
//! ```text
//! cargo run --release -p peernet-door --example hello &
//! wrk -t1 -c64 -d3 http://ADDRESS/
//! ```

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use peernet_door::{Answer, Door, DoorLimits, Head, Reply, Request, Service};

struct Hello;

impl Service for Hello {
    fn body_bytes_max(&self, _: &Head) -> usize {
        0
    }

    fn answer(&self, _: Request) -> Answer {
        Answer::Now(Reply::text(200, "Hello world"))
    }
}

fn main() -> io::Result<()> {
    let limits = DoorLimits { connections_per_address_max: 4_096, ..DoorLimits::default() };
    let door = Door::bind("127.0.0.1:0", limits, Arc::new(Hello))?;
    println!("{}", door.local_addr());
    io::stdin().read_to_end(&mut Vec::new())?;
    println!("{:?}", door.stats());
    println!("{:?}", door.drain(Duration::from_secs(5)));
    Ok(())
}
