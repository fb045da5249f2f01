use sea_orm::{entity::prelude::*, ConnectionTrait, DbBackend, Statement, sea_query::{Query, Table}};

#[tokio::test]
async fn entities(db: &DatabaseConnection) {
    cake::Entity::delete_many().exec(db).await.unwrap(); //~ FINDING delete cake
    cake::Entity::delete_many().filter(cake::Column::Id.eq(1)).exec(db).await.unwrap(); //~ FINDING delete cake
    cake::Entity::delete_by_id(1).exec(db).await.unwrap(); //~ FINDING delete cake
    model.delete(db).await.unwrap(); //~ FINDING delete
    cake::Entity::update_many().col_expr(cake::Column::Name, Expr::value("x")).exec(db).await.unwrap(); //~ FINDING update cake
    cake::Entity::update_many().col_expr(cake::Column::Name, Expr::value("x")).filter(cake::Column::Id.eq(1)).exec(db).await.unwrap(); //~ NONE filtered
    db.execute(Statement::from_string(DbBackend::Postgres, "DROP TABLE cake")).await.unwrap(); //~ FINDING drop cake
    db.execute(Statement::from_sql_and_values(DbBackend::Postgres, "DELETE FROM cake WHERE id = $1", [1.into()])).await.unwrap(); //~ FINDING delete cake
    db.execute_unprepared("TRUNCATE cake").await.unwrap(); //~ FINDING truncate cake
    Migrator::fresh(db).await.unwrap(); //~ FINDING revert
    Migrator::up(db, None).await.unwrap(); //~ NONE goes on
    let drop = Table::drop().table(Cake::Table).to_owned(); //~ FINDING drop Cake
    db.execute(backend.build(&drop)).await.unwrap();
    assert_eq!(Query::delete().from_table(Glyph::Table).to_string(PostgresQueryBuilder), "DELETE FROM glyph"); //~ NONE compared
    assert_eq!(cake::Entity::delete_by_id(1).build(DbBackend::Postgres).to_string(), "DELETE FROM cake WHERE id = 1"); //~ NONE compared
    assert_eq!(db.into_transaction_log(), [Transaction::from_sql_and_values(DbBackend::Postgres, "DELETE FROM cake", [])]); //~ NONE compared
    client.delete("/cakes/1").await; //~ NONE HTTP
}
