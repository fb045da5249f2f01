//! The program, run as a process.

mod check;
mod connected;
mod corpus;
mod help;
mod init;
mod mark;
mod program;
