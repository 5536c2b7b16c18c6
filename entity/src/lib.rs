//! igstream tables as `SeaORM` entities.
