#![allow(unused)]

use fixture_guard::destructive_fixture;
use fixture_guard::sqlx::*;

#[destructive_fixture]
async fn reset_db() {}

struct Shop;

impl Shop {
    #[destructive_fixture]
    async fn reset(&mut self) {}
}

fn main() {}
