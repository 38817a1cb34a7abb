//! What Farthing promises: the properties that must hold in a row of the table.

use crate::{facts::Parties, frame::Scenario, property::Property, systems::metered};

/// Whether a property must hold for the system with this id in a scenario.
///
/// Every purchase, payment and withdrawal promises all of them under failures, and against a customer or a merchant who cheats.
/// Postage is paid before it is given. So it promises the goods only where the office stays, and an indicium names its meter.
/// A merchant of a stream that gives a key before its voucher is raised may lose one tick.
#[must_use]
pub fn is_promised(id: &str, scenario: &Scenario, property: Property) -> bool {
    let failures = scenario.cheats == Parties::NONE;
    let by_side = ["customer cheats", "merchant cheats"].contains(&scenario.name);
    match id {
        "farthing-postage" => match property {
            Property::Money | Property::Consent | Property::Evidence | Property::Progress => {
                failures || by_side || [metered::OFFICE_CHEATS, metered::COPIES].contains(scenario)
            }
            Property::Goods | Property::Certified => {
                *scenario == metered::KEEPS_ITS_OFFICE || scenario.name == "customer cheats"
            }
            Property::Anonymity => false,
        },
        "farthing-stream-later" if [Property::Goods, Property::Certified].contains(&property) => false,
        _ => id.starts_with("farthing") && (failures || by_side),
    }
}
