-- vocabulary.lua: the words that simulated records are made of. Everything is fictitious; names end in .example.
local vocabulary = {}

local function words(text)
  local list = {}
  for word in text:gmatch("%S+") do list[#list + 1] = word end
  return list
end

vocabulary.first = words[[anna ben carla david elena felix greta hugo ines jan karim laura mehdi nora omar paula
  quentin rosa samir tara ugo vera walid xenia yusuf zoe amine bianca chen dina emil fatima goran hana ivan jana
  kofi lina marco nadia]]
vocabulary.last = words[[keller alami berger costa dubois eriksen fischer garcia haddad ivanova jensen kowalski
  lopez moreau novak okafor petrov quist rossi schmidt tazi ullman vidal weber ximenez yilmaz zimmer bennani
  chevalier duarte egger farouk gruber horvat idrissi jovanov]]
vocabulary.passwords = words[[Sommer Winter Marrakech Passw0rd Welcome Football Dragon Casablanca Sunshine Qwertz
  Letmein Atlas Berlin Monkey Shadow Charlie]]
vocabulary.common = words[[123456 password Password1! qwerty123 azerty Welcome1 111111 abc123]]
vocabulary.malware = words[[RedLine Lumma Vidar Raccoon StealC RisePro Meta AZORult]]
vocabulary.os = { "Windows 11 Pro (10.0.22631)", "Windows 10 Pro (10.0.19045)", "Windows 10 Home (10.0.19044)",
  "Windows 11 Home (10.0.26100)" }
vocabulary.browsers = { "Google\\\\Chrome", "Microsoft\\\\Edge", "BraveSoftware\\\\Brave-Browser", "Vivaldi" }
vocabulary.countries = words[[MA FR DE ES GB US AE IT PL TR]]

-- name and sign-in page; %s is the watched domain
vocabulary.services = {
  { "Corporate VPN", "https://vpn.%s/remote/login" }, { "Webmail", "https://mail.%s/owa/auth/logon.aspx" },
  { "Single sign-on", "https://sso.%s/auth/realms/staff/login" }, { "Intranet", "https://intranet.%s/user/login" },
  { "Source control", "https://git.%s/users/sign_in" }, { "Build server", "https://ci.%s/login?from=%%2F" },
  { "Service desk", "https://helpdesk.%s/servicedesk/customer/user/login" }, { "HR portal", "https://hr.%s/signin" },
}
for _, name in ipairs(words[[Cloudbox Mailhaven Codeforge Shoply Streamia Payline Docsign Meetroom Tasklist Chatter
  Bankora Flyaway Bookstay Fitlog Gamehub Newsroom Learnly Jobfinder Photowall Musicbay Parcelo Insurio Taxhelp
  Cryptonest Ridegoer Foodcart Forumo Homelink Medibook Lottoclub Socialo Adsuite]]) do
  table.insert(vocabulary.services, { name, ("https://accounts.%s.example/signin/v2"):format(name:lower()) })
end

-- ready-made JSON strings, also with escapes that a decoder must undo
vocabulary.scripts = { '"Иван Петров"', '"محمد العلمي"', '"田中 太郎"', '"김민수"', '"Ελένη Παππά"',
  '"נועה כהן"', '"สมชาย"', '"Zoë Ångström-Łódź"', '"\\u00c9milie \\ud83d\\ude00"', '"O\'Neill \\"Bob\\" \\\\ \\/"', '"तनवी शर्मा"',
  '"a\\tb\\nc\\u0000d"' }
-- integers at and beyond the borders of doubles and of 64 bits
vocabulary.integers = words[[4111111111111111 9007199254740993 9223372036854775807 9223372036854775808
  1234567890123456789 9999999999999999999 5555555555554444 9007199254740992]]

vocabulary.tags = { "[]", '["corporate"]', '["corporate","vpn"]', '["personal"]', '["employee","cookies"]',
  '["reused"]', '["corporate","admin"]', '["customer"]' }
vocabulary.documents = words[[payroll contract invoice passport roadmap backup customers audit minutes salaries]]
vocabulary.extensions = words[[pdf xlsx docx csv zip sql]]
vocabulary.banks = { "Atlas Bank", "Banque Fictive", "First Example Bank", "Sparkasse Muster" }
vocabulary.exposures = { { 3389, "rdp", "high" }, { 22, "ssh", "low" }, { 9200, "search", "critical" },
  { 445, "smb", "high" }, { 8080, "http-admin", "medium" }, { 27017, "database", "critical" } }
vocabulary.groups = words[[nightfox blacktide redmoth irongate palecrow]]

return vocabulary
