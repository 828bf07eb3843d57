//! What lifecycle hooks write into a queue, in the shapes in which it arrives: directly, as an event of
//! EventBridge, or as a message of SNS around either.
//!
//! <https://docs.aws.amazon.com/autoscaling/ec2/userguide/prepare-for-lifecycle-notifications.html>,
//! <https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-event-reference.html>

use serde::Deserialize;
use serde_json::Value;

use super::{Action, Transition};

/// SNS around EventBridge around the action. What is wrapped deeper was not made by AWS.
const DEPTH_MAX: u32 = 3;
/// AWS's own limits on names are below that; what is quoted in logs should not fill them.
const NAME_MAX: usize = 1_600;
const TEST: &str = "autoscaling:TEST_NOTIFICATION";

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    Action {
        action: Action,
        transition: Transition,
    },
    /// A hook was made, and tries its queue.
    Test,
    /// Nothing of a lifecycle hook; why not.
    Other(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Fields {
    lifecycle_hook_name: String,
    lifecycle_transition: String,
    auto_scaling_group_name: String,
    #[serde(rename = "EC2InstanceId")]
    ec2_instance_id: String,
    lifecycle_action_token: Option<String>,
}

/// Reads a message's body.
pub fn read(body: &str) -> Notice {
    match serde_json::from_str(body) {
        Ok(value) => unwrap(value, DEPTH_MAX),
        Err(error) => Notice::Other(format!("it is no JSON: {error}")),
    }
}

fn unwrap(mut value: Value, depth: u32) -> Notice {
    if depth == 0 {
        return Notice::Other("it is wrapped too often".to_owned());
    }
    if value["Event"] == TEST {
        return Notice::Test;
    }
    if value["Type"] == "Notification"
        && let Value::String(inner) = &value["Message"]
    {
        return match serde_json::from_str(inner) {
            Ok(inner) => unwrap(inner, depth - 1),
            Err(error) => Notice::Other(format!("its Message is no JSON: {error}")),
        };
    }
    if value.get("detail-type").is_some() && value["detail"].is_object() {
        return unwrap(value["detail"].take(), depth - 1);
    }
    match serde_json::from_value(value) {
        Ok(fields) => action(fields),
        Err(error) => Notice::Other(format!("it is not of a lifecycle hook: {error}")),
    }
}

fn action(fields: Fields) -> Notice {
    let Fields {
        lifecycle_hook_name, lifecycle_transition, auto_scaling_group_name, ec2_instance_id, ..
    } = fields;
    let token = fields.lifecycle_action_token.filter(|token| !token.is_empty());
    let names = [&lifecycle_hook_name, &auto_scaling_group_name, &ec2_instance_id];
    if names.iter().any(|name| name.is_empty() || name.len() > NAME_MAX) {
        return Notice::Other("a name in it is empty, or longer than any".to_owned());
    }
    let Some(transition) = Transition::parse(&lifecycle_transition) else {
        let what = lifecycle_transition.escape_debug().to_string();
        return Notice::Other(format!("its LifecycleTransition is '{what:.80}'"));
    };
    let action = Action {
        group: auto_scaling_group_name,
        hook: lifecycle_hook_name,
        instance: ec2_instance_id,
        token,
    };
    Notice::Action { action, transition }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// As AWS documents it.
    fn direct() -> Value {
        json!({
            "Origin": "AutoScalingGroup", "Destination": "EC2",
            "LifecycleHookName": "leave", "AccountId": "123456789012",
            "RequestId": "f5c1a1a2-0000-1111-2222-333344445555",
            "LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING",
            "AutoScalingGroupName": "web", "Service": "AWS Auto Scaling",
            "Time": "2021-01-19T00:36:26.533Z", "EC2InstanceId": "i-1234567890abcdef0",
            "NotificationMetadata": "hook message metadata",
            "LifecycleActionToken": "71514b9d-6a40-4b26-8523-05e7ee35fa40",
        })
    }

    fn event() -> Value {
        json!({
            "version": "0", "id": "12345678-1234", "source": "aws.autoscaling", "region": "us-west-2",
            "detail-type": "EC2 Instance-terminate Lifecycle Action", "account": "123456789012",
            "time": "2021-01-19T00:36:26Z", "resources": ["arn:aws:autoscaling:…"], "detail": direct(),
        })
    }

    fn topic(message: &Value) -> Value {
        json!({
            "Type": "Notification", "MessageId": "x", "TopicArn": "arn:aws:sns:us-west-2:123456789012:t",
            "Subject": "Auto Scaling:  Lifecycle action 'TERMINATING'", "Message": message.to_string(),
        })
    }

    fn expected() -> Notice {
        let action = Action {
            group: "web".into(),
            hook: "leave".into(),
            instance: "i-1234567890abcdef0".into(),
            token: Some("71514b9d-6a40-4b26-8523-05e7ee35fa40".into()),
        };
        Notice::Action { action, transition: Transition::Terminating }
    }

    #[test]
    fn all_shapes_say_the_same() {
        for shape in [direct(), event(), topic(&direct()), topic(&event())] {
            assert_eq!(read(&shape.to_string()), expected(), "{shape}");
        }
        let mut older = direct();
        for newer in ["Origin", "Destination", "NotificationMetadata", "LifecycleActionToken"] {
            older.as_object_mut().unwrap().remove(newer);
        }
        let Notice::Action { action, .. } = read(&older.to_string()) else { panic!("{older}") };
        assert_eq!(action.token, None);
    }

    #[test]
    fn a_launch_is_told_apart() {
        let mut launch = direct();
        launch["LifecycleTransition"] = "autoscaling:EC2_INSTANCE_LAUNCHING".into();
        let told = read(&launch.to_string());
        assert!(matches!(told, Notice::Action { transition: Transition::Launching, .. }), "{told:?}");
    }

    #[test]
    fn the_message_of_a_new_hook_is_a_test() {
        let test = json!({ "Event": "autoscaling:TEST_NOTIFICATION", "AutoScalingGroupName": "web" });
        assert_eq!(read(&test.to_string()), Notice::Test);
        assert_eq!(read(&topic(&test).to_string()), Notice::Test);
    }

    #[test]
    fn what_is_not_of_a_hook_says_why() {
        let mut deep = direct();
        for _ in 0..5 {
            deep = topic(&deep);
        }
        let mut odd = direct();
        odd["LifecycleTransition"] = "autoscaling:SOMETHING".into();
        let mut nameless = direct();
        nameless["EC2InstanceId"] = "".into();
        for (body, why) in [
            (String::new(), "no JSON"),
            ("hello".into(), "no JSON"),
            ("[]".into(), "not of a lifecycle hook"),
            ("{}".into(), "LifecycleHookName"),
            (json!({ "Type": "Notification", "Message": "hello" }).to_string(), "Message is no JSON"),
            (deep.to_string(), "too often"),
            (odd.to_string(), "SOMETHING"),
            (nameless.to_string(), "empty"),
        ] {
            let Notice::Other(told) = read(&body) else { panic!("{body}") };
            assert!(told.contains(why), "{body}: {told}");
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_reader(text in ".{0,200}") {
            read(&text);
            read(&json!({ "Type": "Notification", "Message": text }).to_string());
        }
    }
}
