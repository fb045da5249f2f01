use tokio_postgres::{Client, NoTls};

async fn setup(client: &Client) {
    client.batch_execute("DROP TABLE IF EXISTS person; CREATE TABLE person (id serial)").await.unwrap(); //~ FINDING drop person
    client.execute("DELETE FROM person WHERE id = $1", &[&1]).await.unwrap(); //~ FINDING delete person
    client.simple_query("TRUNCATE person").await.unwrap(); //~ FINDING truncate person
    client.query("DELETE FROM person RETURNING id", &[]).await.unwrap(); //~ FINDING delete person
    client.query_one("SELECT id FROM person WHERE verb = 'DELETE FROM person'", &[]).await.unwrap(); //~ NONE a value
    let statement = client.prepare("UPDATE person SET name = $1").await.unwrap(); //~ FINDING update person
    client.query_typed("DELETE FROM person", &[]).await.unwrap(); //~ FINDING delete person
    client.query("SELECT $1", &[&"DROP TABLE person"]).await.unwrap(); //~ NONE a parameter
}

fn blocking(client: &mut postgres::Client) {
    let mut transaction = client.transaction().unwrap();
    transaction.batch_execute(
        "
        TRUNCATE person CASCADE; --~ FINDING truncate person
        ALTER SEQUENCE person_id_seq RESTART;
        ",
    ).unwrap();
}
