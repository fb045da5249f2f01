use fixture_guard::destructive_fixture;
use sqlx::{PgConnection, PgPool, Row};

use crate::support::{Customer, Order, OrderLine, Product, database};

const INSERT_CUSTOMER: &str = "INSERT INTO customers (name, email, created_at) VALUES ($1, $2, now()) RETURNING id";

#[destructive_fixture(hosts = ["*-staging*"], tables = ["customers", "orders", "order_lines"])]
async fn reset_shop(conn: &mut PgConnection) -> sqlx::Result<()> {
    for table in ["order_lines", "orders", "customers"] {
        sqlx::query(sqlx::AssertSqlSafe(format!("TRUNCATE {table} CASCADE"))).execute(&mut *conn).await?;
    }
    Ok(())
}

async fn customer(pool: &PgPool, name: &str) -> sqlx::Result<i64> {
    let email = format!("{name}@example.org");
    let row = sqlx::query(INSERT_CUSTOMER).bind(name).bind(&email).fetch_one(pool).await?;
    row.try_get("id")
}

async fn product(pool: &PgPool, name: &str, price: i64) -> sqlx::Result<Product> {
    sqlx::query_as("INSERT INTO products (name, price) VALUES ($1, $2) RETURNING id, name, price")
        .bind(name)
        .bind(price)
        .fetch_one(pool)
        .await
}

#[tokio::test]
async fn a_customer_orders_twice() {
    let database = database().await;
    let pool = database.pool();
    let customer = customer(pool, "ada").await.unwrap();
    let products = vec![
        product(pool, "shoes", 4_900).await.unwrap(),
        product(pool, "hat", 1_900).await.unwrap(),
        product(pool, "coat", 12_900).await.unwrap(),
    ];

    let mut total = 0;
    for (position, product) in products.iter().enumerate() {
        let order: Order = sqlx::query_as("INSERT INTO orders (customer, placed) VALUES ($1, now()) RETURNING *")
            .bind(customer)
            .fetch_one(pool)
            .await
            .unwrap();
        let line = OrderLine { order: order.id, product: product.id, amount: position as i32 + 1 };
        total += line.amount as i64 * product.price;
        sqlx::query("INSERT INTO order_lines (order_id, product_id, amount) VALUES ($1, $2, $3)")
            .bind(line.order)
            .bind(line.product)
            .bind(line.amount)
            .execute(pool)
            .await
            .unwrap();
    }

    let sum: i64 = sqlx::query_scalar(
        "SELECT sum(l.amount * p.price) FROM order_lines l JOIN products p ON p.id = l.product_id
         JOIN orders o ON o.id = l.order_id WHERE o.customer = $1",
    )
    .bind(customer)
    .fetch_one(pool)
    .await
    .unwrap();
    assert_eq!(sum, total);
}

#[tokio::test]
async fn a_cancelled_order_is_gone() {
    let database = database().await;
    let pool = database.pool();
    let customer = customer(pool, "grace").await.unwrap();
    let order: i64 = sqlx::query_scalar("INSERT INTO orders (customer, placed) VALUES ($1, now()) RETURNING id")
        .bind(customer)
        .fetch_one(pool)
        .await
        .unwrap();

    sqlx::query("DELETE FROM orders WHERE id = $1").bind(order).execute(pool).await.unwrap();

    let left: Vec<Customer> = sqlx::query_as("SELECT * FROM customers c WHERE EXISTS (SELECT FROM orders WHERE customer = c.id)")
        .fetch_all(pool)
        .await
        .unwrap();
    assert!(left.iter().all(|other| other.id != customer), "{left:?}");
    match left.first() {
        Some(first) if first.name.is_empty() => panic!("a customer without a name"),
        Some(first) => println!("{} has orders", first.name),
        None => println!("nobody has orders"),
    }
}
