//! The suite of the seam on LocalStack, whose groups are the repository's own plugin.

use std::sync::Arc;

use maelstrom_core::{
    autoscaling_conformance,
    testing::autoscaling_conformance::{HOOK, Subject, TIMEOUT},
};

use serde_json::json;

use super::*;
use crate::localstack;

struct LocalStack {
    scaling: Arc<AutoScalingGroups>,
    client: Client,
    group: String,
}

async fn group_on_localstack() -> LocalStack {
    let account = localstack::account().await;
    let client = connect(&account);
    let group = format!("g-{}", ulid::Ulid::generate());
    let configuration = client.create_launch_configuration().launch_configuration_name(&group);
    configuration.image_id("ami-12345678").instance_type("t3.micro").send().await.unwrap();
    let made =
        client.create_auto_scaling_group().auto_scaling_group_name(&group).launch_configuration_name(&group);
    let made = made.availability_zones("us-east-1a").min_size(0).max_size(4).desired_capacity(2);
    made.send().await.unwrap();
    let hook = client.put_lifecycle_hook().auto_scaling_group_name(&group).lifecycle_hook_name(HOOK);
    let hook = hook.lifecycle_transition("autoscaling:EC2_INSTANCE_TERMINATING");
    let seconds = i32::try_from(TIMEOUT.as_secs()).unwrap();
    hook.heartbeat_timeout(seconds).default_result("CONTINUE").send().await.unwrap();
    LocalStack { scaling: Arc::new(AutoScalingGroups::new(account.into())), client, group }
}

impl Subject for LocalStack {
    fn scaling(&self) -> Arc<dyn Autoscaling> {
        self.scaling.clone()
    }

    fn group(&self) -> String {
        self.group.clone()
    }

    fn terminate(&self, instance: String) -> BoxFuture<'_, ()> {
        let request = self.client.terminate_instance_in_auto_scaling_group().instance_id(instance);
        let request = request.should_decrement_desired_capacity(true);
        Box::pin(async move { drop(request.send().await.unwrap()) })
    }

    fn fail_launches(&self, why: &'static str) -> BoxFuture<'_, ()> {
        let fault = json!({ "operation": "LaunchInstance", "message": why, "group": self.group });
        Box::pin(localstack::steer_autoscaling(json!({ "faults": [fault] })))
    }
}

autoscaling_conformance!(group_on_localstack);

#[tokio::test]
async fn an_aws_that_is_away_is_told_by_action_and_resource() {
    // Nothing listens at the discard port.
    let account = localstack::account_at("http://127.0.0.1:9");
    let scaling = AutoScalingGroups::new(account.into());
    let error = scaling.member("i-1".into()).await.unwrap_err();
    assert_eq!(error.kind(), "unavailable");
    let text = error.to_string();
    assert!(text.contains("autoscaling:DescribeAutoScalingInstances on i-1"), "{text}");
    assert!(text.contains("AWS_ENDPOINT_URL_AUTO_SCALING"), "{text}");
}

#[test]
fn states_are_written_in_one_way() {
    for (told, expected) in [
        ("TERMINATING:WAIT", "Terminating:Wait"),
        ("Terminating:Wait", "Terminating:Wait"),
        ("PENDING", "Pending"),
        ("InService", "InService"),
        ("Warmed:Stopped", "Warmed:Stopped"),
    ] {
        assert_eq!(canonical(told), expected);
    }
}
