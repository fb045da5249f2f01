use rusqlite::{params, Connection};

#[test]
fn statements() -> rusqlite::Result<()> {
    let conn = Connection::open("shop.db")?;
    conn.execute("DELETE FROM person WHERE id = ?1", params![1])?; //~ FINDING delete person
    conn.execute_batch("BEGIN; DROP TABLE person; COMMIT;")?; //~ FINDING drop person
    conn.prepare("UPDATE person SET name = ?1")?.execute(["x"])?; //~ FINDING update person
    conn.query_row("DELETE FROM person RETURNING id", [], |row| row.get(0))?; //~ FINDING delete person
    conn.execute("INSERT OR REPLACE INTO person VALUES (1)", [])?; //~ NONE an insert
    conn.execute("VACUUM", [])?; //~ NONE removes nothing
    conn.execute(&format!("DROP TABLE IF EXISTS \"{}\"", table), [])?; //~ FINDING drop "{table}"
    conn.execute("CREATE TRIGGER log AFTER DELETE ON person BEGIN INSERT INTO log VALUES (old.id); END", [])?; //~ NONE an event
    Ok(())
}

#[test]
fn sqlx_sqlite() {
    block_on(async {
        sqlx::query("DELETE FROM notes").execute(&pool).await?; //~ FINDING delete notes
        sqlx::Sqlite::drop_database("sqlite:notes.db").await //~ FINDING drop
    });
}
