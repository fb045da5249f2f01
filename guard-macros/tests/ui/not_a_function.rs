#![allow(unused)]

use fixture_guard::destructive_fixture;
use fixture_guard::sqlx::*;

#[destructive_fixture]
struct Shop;

#[destructive_fixture]
mod fixtures {}

#[destructive_fixture]
impl Shop {
    pub const fn new() -> Self {
        Self
    }
}

#[destructive_fixture]
trait Reset {}

#[destructive_fixture]
pub const TABLES: [&str; 1] = ["categories"];

#[destructive_fixture]
use std::fmt;

fn main() {}
