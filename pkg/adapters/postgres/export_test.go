package postgres

// Oldest makes Migrate refuse servers of a major version before n.
func Oldest(n int) MigrateOption { return func(o *migrateOptions) { o.oldest = n } }
