//! `maelctl store init`: the one command that talks to AWS instead of a daemon, since no daemon starts
//! before its store is there.

use maelstrom_aws::{Account, dynamo};
use maelstrom_core::ports::store::StoreError;

use crate::{
    cli::StoreCommand,
    failure::{Exit, Failure},
    output::Output,
};

pub(super) async fn run(command: StoreCommand, output: &Output) -> Result<(), Failure> {
    let StoreCommand::Init { table } = command;
    let account = Account::from_environment().await.map_err(failed)?;
    let told = dynamo::create_table(&account, &table).await.map_err(failed)?;
    let text = || told.iter().map(|line| format!("{line}\n")).collect();
    output.print(&output.one(&told, || table.clone(), text)?)
}

fn failed(error: StoreError) -> Failure {
    let exit = match &error {
        StoreError::Unavailable { .. } => Exit::Unreachable,
        StoreError::Conflict { .. } | StoreError::Broken { .. } => Exit::Failed,
    };
    Failure::new(exit, error.to_string())
}
