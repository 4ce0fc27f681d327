//! Conversion of ids to PostgreSQL's types, and of its rows.

use std::error::Error;

use postgres::Row;
use postgres::types::private::BytesMut;
use postgres::types::{FromSql, IsNull, ToSql, Type, accepts, to_sql_checked};

use crate::store::columns::Columns;
use crate::store::{Result, StoreError};

/// 16 bytes as the type `uuid`.
#[derive(Debug, Clone, Copy)]
pub(in crate::store::postgres) struct Uuid(pub(in crate::store::postgres) [u8; 16]);

impl ToSql for Uuid {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> std::result::Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }

    accepts!(UUID);
    to_sql_checked!();
}

impl<'a> FromSql<'a> for Uuid {
    fn from_sql(_: &Type, raw: &'a [u8]) -> std::result::Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(raw.try_into()?))
    }

    accepts!(UUID);
}

fn read<'a, T: FromSql<'a>>(row: &'a Row, at: usize) -> Result<T> {
    row.try_get(at).map_err(|error| StoreError::Failed(format!("unexpected column: {error}")))
}

impl Columns for Row {
    fn id(&self, at: usize) -> Result<[u8; 16]> {
        read::<Uuid>(self, at).map(|id| id.0)
    }

    fn id_or_null(&self, at: usize) -> Result<Option<[u8; 16]>> {
        Ok(read::<Option<Uuid>>(self, at)?.map(|id| id.0))
    }

    fn bytes(&self, at: usize) -> Result<Vec<u8>> {
        read(self, at)
    }

    fn int_or_null(&self, at: usize) -> Result<Option<i64>> {
        read(self, at)
    }

    fn bytes_or_null(&self, at: usize) -> Result<Option<Vec<u8>>> {
        read(self, at)
    }

    fn text_or_null(&self, at: usize) -> Result<Option<String>> {
        read(self, at)
    }

    fn real(&self, at: usize) -> Result<f64> {
        read(self, at)
    }

    fn flag(&self, at: usize) -> Result<bool> {
        read(self, at)
    }
}

/// Returns one column of many rows, as a parameter for `unnest`.
pub(in crate::store::postgres) fn column<'a, R, T>(rows: &'a [R], field: impl Fn(&'a R) -> T) -> Vec<T> {
    rows.iter().map(field).collect()
}
