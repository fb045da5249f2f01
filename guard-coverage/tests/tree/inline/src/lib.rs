pub async fn production(pool: &PgPool) {
    pool.execute("DELETE FROM jobs WHERE done").await.unwrap(); //~ NONE no code for tests
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn clean(pool: &PgPool) {
        pool.execute("DELETE FROM jobs").await.unwrap(); //~ FINDING delete jobs
    }

    mod nested {
        #[rstest]
        #[case("DROP TABLE jobs")] //~ NONE an attribute's text is not followed
        async fn cases(#[case] sql: &str) {
            pool().execute("TRUNCATE jobs").await.unwrap(); //~ FINDING truncate jobs
        }
    }
}

#[tokio::test]
async fn beside_the_code() {
    pool().execute("DROP TABLE jobs").await.unwrap(); //~ FINDING drop jobs
}
