pub const DROP_ALL: &str = "DROP SCHEMA public CASCADE";
