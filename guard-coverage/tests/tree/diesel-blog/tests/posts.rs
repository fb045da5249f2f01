use diesel::prelude::*;
use schema::{posts, users::dsl::*};

fn clean(conn: &mut PgConnection) {
    diesel::delete(posts::table).execute(conn).unwrap(); //~ FINDING delete posts
    diesel::delete(posts::table.filter(posts::id.eq(1))).execute(conn).unwrap(); //~ FINDING delete posts
    diesel::delete(users).execute(conn).unwrap(); //~ FINDING delete users
    delete(users.find(1)).execute(conn).unwrap(); //~ FINDING delete users
    diesel::update(posts::table).set(posts::published.eq(true)).execute(conn).unwrap(); //~ FINDING update posts
    diesel::update(posts::table.find(1)).set(posts::published.eq(true)).execute(conn).unwrap(); //~ NONE one row
    diesel::update(posts::table).filter(posts::id.eq(1)).set(posts::published.eq(true)).execute(conn).unwrap(); //~ NONE filtered
    diesel::update(&post).set(posts::published.eq(true)).execute(conn).unwrap(); //~ NONE one row
    diesel::insert_into(posts::table).values(&post).on_conflict(posts::id).do_update().set(&post).execute(conn).unwrap(); //~ NONE an insert
    diesel::sql_query("TRUNCATE posts").execute(conn).unwrap(); //~ FINDING truncate posts
    sql_query(format!("DROP DATABASE {name}")).execute(conn).unwrap(); //~ FINDING drop {name}
    conn.batch_execute("DELETE FROM posts; DELETE FROM users;").unwrap(); //~ FINDING delete posts //~ FINDING delete users
    conn.revert_all_migrations(MIGRATIONS).unwrap(); //~ FINDING revert
    println!("{}", debug_query::<Pg, _>(&diesel::delete(posts::table))); //~ NONE printed
    posts::table.filter(posts::title.eq("DROP TABLE posts")).first::<Post>(conn).unwrap(); //~ NONE a value
}

#[test]
fn in_a_transaction() {
    conn.test_transaction::<_, Error, _>(|conn| {
        diesel::delete(posts::table).execute(conn)?; //~ FINDING delete posts
        Ok(())
    });
}
