//! The program; what it does is written in the library, so that it can use what is private there.

fn main() -> std::process::ExitCode {
    planner::cli::main()
}
