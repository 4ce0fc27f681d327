//! Generates the protobuf messages with protobuf-codegen's own parser, so that no `protoc` is needed.

fn main() {
    println!("cargo::rerun-if-changed=peernet.proto");
    #[cfg(feature = "grpc")]
    protobuf_codegen::Codegen::new()
        .pure()
        .include(".")
        .input("peernet.proto")
        .cargo_out_dir("generated")
        .run_from_script();
}
