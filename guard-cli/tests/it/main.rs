//! The program, run as a process.

mod check;
mod corpus;
mod program;
