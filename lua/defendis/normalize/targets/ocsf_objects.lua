-- ocsf_objects.lua: objects of OCSF 1.8.0 that findings on leaks use. What leaks never fill (processes, API calls, ...) is a free object.
-- Compared with the schema's own files where those were at hand; not verified: attributes of group, location and product beyond the usual.
local set = require("defendis.normalize.targets.schema").set

local VERDICTS = set "0 1 2 3 4 5 6 7 8 9 10 99"
local HASHES = set "0 1 2 3 4 5 6 7 8 9 10 99"
local ENDPOINT = "domain hostname instance_uid interface_name interface_uid ip location:location mac name os:os port:integer "
  .. "subnet_uid type "
  .. "type_id:integer uid svc_name vlan_uid owner:user hw_info:object zone"

return {
  metadata = { "correlation_uid event_code extension:object extensions:object[] labels:string[] log_level log_name log_provider "
    .. "log_version "
    .. "loggers:object[] logged_time:timestamp modified_time:timestamp original_time original_event_uid processed_time:timestamp "
    .. "product*:product "
    .. "profiles:string[] sequence:integer source tags:object[] tenant_uid transformation_info_list:object[] uid version* "
    .. "is_truncated:boolean "
    .. "untruncated_size:integer debug:string[] reporter:object" },
  product = { "cpe_name feature:object lang name path uid url_string vendor_name version data_classification:object",
    at_least_one = { "name", "uid" } },
  finding_info = { "analytic:analytic attacks:attack[] attack_graph:object created_time:timestamp data_sources:string[] desc "
    .. "first_seen_time:timestamp kill_chain:object[] last_seen_time:timestamp modified_time:timestamp product:product product_uid "
    .. "related_analytics:analytic[] related_events:related_event[] related_events_count:integer src_url tags:object[] title "
    .. "traits:object[] "
    .. "types:string[] uid* uid_alt" },
  analytic = { "algorithm category desc name related_analytics:analytic[] state state_id:integer type type_id*:integer uid version",
    at_least_one = { "name", "uid" }, enums = { type_id = set "0 1 2 3 4 5 6 7 8 9 10 11 99" } },
  attack = { "tactic:named tactics:named[] technique:named sub_technique:named mitigation:object version",
    at_least_one = { "tactic", "technique", "sub_technique", "mitigation" } },
  named = { "name uid src_url", at_least_one = { "name", "uid" } },
  related_event = { "attacks:attack[] count:integer created_time:timestamp desc first_seen_time:timestamp kill_chain:object[] "
    .. "last_seen_time:timestamp modified_time:timestamp observables:observable[] product:product product_uid severity "
    .. "severity_id:integer status "
    .. "tags:object[] title traits:object[] type type_name type_uid:integer uid*", enums = { severity_id = set "0 1 2 3 4 5 6 99" } },
  observable = { "event_uid name reputation:object type type_id*:integer type_uid:integer value",
    enums = { type_id = set("0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 "
      .. "38 39 40 "
      .. "41 42 43 44 45 46 47 99") } },
  evidences = { "actor:actor api:object connection_info:object container:object data:object database:database databucket:object "
    .. "device:device "
    .. "dst_endpoint:endpoint email:email file:file http_request:object http_response:object ja4_fingerprint_list:object[] job:object name "
    .. "process:object query:object reg_key:object reg_value:object resources:resource_details[] script:object src_endpoint:endpoint "
    .. "tls:object "
    .. "uid url:url user:user verdict verdict_id:integer win_service:object", enums = { verdict_id = VERDICTS },
    at_least_one = { "actor", "api", "connection_info", "data", "database", "databucket", "device", "dst_endpoint", "email", "file",
      "process",
      "query", "resources", "src_endpoint", "url", "user", "job", "script" } },
  user = { "account:account credential_uid display_name domain email_addr forward_addr full_name groups:group[] has_mfa:boolean "
    .. "ldap_person:object "
    .. "name org:organization phone_number programmatic_credentials:programmatic_credential[] risk_level risk_level_id:integer "
    .. "risk_score:integer "
    .. "type type_id:integer uid uid_alt", at_least_one = { "account", "name", "uid" },
    enums = { type_id = set "0 1 2 3 4 99", risk_level_id = set "0 1 2 3 4 99" } },
  account = { "labels:string[] name tags:object[] type type_id:integer uid", at_least_one = { "name", "uid" } },
  programmatic_credential = { "last_used_time:timestamp type uid*" },
  group = { "desc domain name privileges:string[] type uid", at_least_one = { "name", "uid" } },
  organization = { "name ou_name ou_uid uid", at_least_one = { "name", "uid" } },
  actor = { "app_name app_uid authorizations:object[] idp:object invoked_by process:object session:object user:user",
    at_least_one = { "process", "user", "invoked_by", "session", "app_name", "app_uid" } },
  url = { "categories:string[] category_ids:integer[] domain hostname path port:integer query_string resource_type scheme subdomain "
    .. "url_string",
    at_least_one = { "url_string", "path" } },
  file = { "accessed_time:timestamp confidentiality confidentiality_id:integer created_time:timestamp creator:user desc "
    .. "data_classifications:object[] drive_type ext hashes:fingerprint[] internal_name is_deleted:boolean is_encrypted:boolean "
    .. "is_public:boolean "
    .. "is_readonly:boolean is_system:boolean mime_type modified_time:timestamp name* owner:user parent_folder path product:product "
    .. "size:integer "
    .. "storage_class tags:object[] type type_id*:integer uid uri url:url version volume",
    enums = { type_id = set "0 1 2 3 4 5 6 7 99", confidentiality_id = set "0 1 2 3 4 5 6 99" } },
  fingerprint = { "algorithm algorithm_id*:integer value*", enums = { algorithm_id = HASHES } },
  email = { "bcc:string[] cc:string[] delivered_to from from_mailbox message_uid reply_to size:integer smtp_from smtp_to:string[] "
    .. "subject to:string[] uid urls:url[] files:file[]", at_least_one = { "from", "to" } },
  device = { ENDPOINT:gsub("type_id:", "type_id*:") .. " created_time:timestamp desc first_seen_time:timestamp groups:group[] "
    .. "is_compliant:boolean is_managed:boolean is_personal:boolean is_trusted:boolean last_seen_time:timestamp org:organization "
    .. "region risk_level "
    .. "risk_level_id:integer risk_score:integer uid_alt vendor_name model", enums = { type_id = set("0 1 2 3 4 5 6 7 8 9 10 11 12 13 "
    .. "14 15 99") },
    at_least_one = { "ip", "uid", "name", "hostname", "instance_uid", "interface_uid", "interface_name" } },
  endpoint = { ENDPOINT, at_least_one = { "ip", "uid", "name", "hostname", "svc_name", "instance_uid", "interface_uid",
    "interface_name", "domain" } },
  os = { "build country cpe_name edition kernel_release lang name* sp_name type type_id*:integer version",
    enums = { type_id = set "0 99 100 101 200 201 300 301 302 400 401 402" } },
  location = { "city continent coordinates:number[] country desc geohash isp lat:number long:number postal_code provider region" },
  malware = { "classification_ids*:integer[] classifications:string[] cves:cve[] files:file[] name num_infected:integer path provider "
    .. "severity "
    .. "severity_id:integer uid", enums = { classification_ids = set "0 1 2 3 4 5 6 7 8 9 10 11 13 14 15 16 17 18 19 20 21 22 99" } },
  cve = { "created_time:timestamp cvss:object[] cwe_uid cwe_url desc epss:object modified_time:timestamp product:product "
    .. "references:string[] title type uid*" },
  vulnerability = { "advisory:object affected_code:object[] affected_packages:object[] cve:cve cwe:object desc "
    .. "first_seen_time:timestamp is_exploit_available:boolean "
    .. "is_fix_available:boolean last_seen_time:timestamp packages:object[] references:string[] remediation:object severity title "
    .. "vendor_name "
    .. "category", at_least_one = { "advisory", "cve", "cwe" } },
  resource_details = { "agent_list:object[] cloud_partition created_time:timestamp criticality data:object "
    .. "data_classifications:object[] group:group "
    .. "hostname ip is_backed_up:boolean labels:string[] modified_time:timestamp name namespace owner:user region role role_id:integer "
    .. "tags:object[] type uid uid_alt version zone", enums = { role_id = set "0 1 2 3 4 99" } },
  database = { "created_time:timestamp data_classifications:object[] desc groups:group[] modified_time:timestamp name size:integer type "
    .. "type_id*:integer uid", at_least_one = { "name", "uid" } },
  data_security = { "category category_id:integer classifier_details:object confidentiality confidentiality_id:integer "
    .. "created_time:timestamp "
    .. "data_lifecycle_state data_lifecycle_state_id:integer data_type data_type_id:integer detection_pattern detection_system "
    .. "detection_system_id:integer discovery_details:object[] modified_time:timestamp pattern_match policy:policy size:integer "
    .. "src_url status "
    .. "status_id:integer total:integer uid",
    at_least_one = { "data_lifecycle_state_id", "detection_pattern", "detection_system_id", "policy" },
    enums = { category_id = set "0 1 2 3 4 5 6 99", confidentiality_id = set "0 1 2 3 4 5 6 99", data_lifecycle_state_id = set "0 1 2 3 99",
      detection_system_id = set "0 1 2 3 4 5 6 7 8 9 10 11 12 13 99" } },
  policy = { "data:object desc group:group is_applied:boolean name type type_id:integer uid version", at_least_one = { "name", "uid" } },
  threat_actor = { "name* type type_id:integer", enums = { type_id = set "0 1 2 3 4 99" } },
  enrichment = { "created_time:timestamp data*:object desc name* provider reputation:object short_desc src_url type value*" },
  campaign = { "name*" },
  osint = { "answers:object[] attacks:attack[] autonomous_system:object campaign:campaign category comment confidence "
    .. "confidence_id:integer "
    .. "created_time:timestamp creator:user desc detection_pattern detection_pattern_type detection_pattern_type_id:integer email:email "
    .. "email_auth:object expiration_time:timestamp external_uid file:file intrusion_sets:string[] kill_chain:object[] labels:string[] "
    .. "location:location malware:malware[] modified_time:timestamp name related_analytics:analytic[] reputation:object risk_score:integer "
    .. "references:string[] script:object severity severity_id:integer signatures:object[] src_url subdomains:string[] subnet "
    .. "threat_actor:threat_actor tlp type type_id*:integer uid uploaded_time:timestamp value* vendor_name vulnerabilities:vulnerability[] "
    .. "whois:object", enums = { type_id = set "0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 99", confidence_id = set "0 1 2 3 99",
      severity_id = set "0 1 2 3 4 5 6 99", tlp = set{ "CLEAR", "GREEN", "AMBER", "AMBER STRICT", "RED", "WHITE" } } },
}
