//! Writes the rows of `tests/corpus` as seeds for the target `any`: `cargo run --example seeds` in this directory.

use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let seeds = here.join("corpus/any");
    std::fs::create_dir_all(&seeds)?;
    for (file, column) in [("postgres-dsn.csv", 2), ("mysql-dsn.csv", 1), ("sqlite-dsn.csv", 1)] {
        for row in csv::Reader::from_path(here.join("../tests/corpus").join(file))?.records() {
            let row = row?;
            let dsn = match column {
                2 => serde_json::from_str(&row[2])?,
                _ => row[column].to_owned(),
            };
            std::fs::write(seeds.join(&row[0]), dsn)?;
        }
    }
    Ok(())
}
