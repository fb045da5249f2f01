//! The program, run as a process.

mod check;
mod connected;
mod corpus;
mod coverage;
mod help;
mod init;
mod mark;
mod program;
mod reports;
