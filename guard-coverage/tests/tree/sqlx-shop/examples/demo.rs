fn main() {
    // an example is run by hand, against whatever the environment names
    block_on(sqlx::query("DELETE FROM todos").execute(&pool())); //~ FINDING delete todos
    println!("DELETE FROM todos done"); //~ NONE printed
}
