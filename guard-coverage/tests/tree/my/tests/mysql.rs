use mysql_async::{prelude::*, Pool};

#[tokio::test]
async fn asynchronous() {
    let mut conn = pool.get_conn().await.unwrap();
    conn.query_drop("TRUNCATE TABLE payment").await.unwrap(); //~ FINDING truncate payment
    conn.exec_drop("DELETE FROM payment WHERE id = ?", (1,)).await.unwrap(); //~ FINDING delete payment
    r"DROP TABLE payment".ignore(&mut conn).await.unwrap(); //~ FINDING drop payment
    "UPDATE payment SET amount = 0".run(&mut conn).await.unwrap(); //~ FINDING update payment
    conn.query_drop("DELETE p FROM payment p JOIN account a ON a.id = p.account").await.unwrap(); //~ FINDING delete p
    conn.query_drop("CREATE TEMPORARY TABLE t (id int)").await.unwrap(); //~ NONE makes one
    conn.query_drop("DROP TEMPORARY TABLE t").await.unwrap(); //~ NONE temporary
    conn.query_drop("SELECT TRUNCATE(1.5, 1)").await.unwrap(); //~ NONE a function
    conn.query_drop("ALTER TABLE payment DROP PRIMARY KEY").await.unwrap(); //~ FINDING alter payment
    conn.query_drop("REPLACE INTO payment VALUES (1)").await.unwrap(); //~ NONE not listed
    conn.exec_batch("DELETE FROM `shop`.`payment` WHERE id = :id", ids.iter().map(|id| params! { "id" => id })).await.unwrap(); //~ FINDING delete `shop`.`payment`
}
