use std::{sync::Arc, time::Duration};

use aws_sdk_sfn::types::ExecutionStatus;
use maelstrom_core::testing::activity_conformance::Subject;

use super::*;
use crate::localstack;

struct LocalStack {
    activities: Arc<StepFunctions>,
    client: Client,
    name: String,
}

async fn localstack() -> LocalStack {
    let account = localstack::account().await;
    let client = Client::new(account.config());
    let name = format!("t-{}", ulid::Ulid::generate());
    LocalStack { activities: Arc::new(StepFunctions::new(account.into())), client, name }
}

impl Subject for LocalStack {
    fn activities(&self) -> Arc<dyn Activities> {
        self.activities.clone()
    }

    fn name(&self) -> String {
        self.name.clone()
    }

    fn start(&self, activity: Activity, input: String) -> BoxFuture<'_, String> {
        Box::pin(async move {
            let definition = format!(
                r#"{{"StartAt":"Work","States":{{"Work":{{
                    "Type":"Task","Resource":"{}","HeartbeatSeconds":60,"End":true
                }}}}}}"#,
                activity.arn
            );
            let request = self.client.create_state_machine().name(&self.name).definition(definition);
            let machine = request.role_arn("arn:aws:iam::000000000000:role/tests").send().await.unwrap();
            let request = self.client.start_execution().state_machine_arn(machine.state_machine_arn());
            request.input(input).send().await.unwrap().execution_arn().to_owned()
        })
    }

    fn end(&self, execution: String) -> BoxFuture<'_, Result<String, (String, String)>> {
        Box::pin(async move {
            for _ in 0..300 {
                let told = self.client.describe_execution().execution_arn(&execution).send().await.unwrap();
                if *told.status() != ExecutionStatus::Running {
                    let failed = (told.error, told.cause);
                    return told
                        .output
                        .ok_or_else(|| (failed.0.unwrap_or_default(), failed.1.unwrap_or_default()));
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            panic!("{execution} does not end");
        })
    }
}

maelstrom_core::activity_conformance!(localstack);
