-- tls.lua: an authority, certificates and a TLS server of openssl's, for one test.
local scratch = require "support.scratch"

local tls = {}

local dir, servers = nil, {}

local function openssl(words) return os.execute(("openssl %s >/dev/null 2>&1"):format(words)) end

local EC <const> = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"

--- Ends what a test has started. For after_each.
function tls.clean()
  for _, s in ipairs(servers) do
    os.execute("kill " .. s.pid .. " 2>/dev/null")
    s.pipe:close()
  end
  servers = {}
  if dir then scratch.remove(dir) end
  dir = nil
end

--- Makes an authority. name: tells it apart from another. Returns the path of its certificate, or nil where there is no openssl.
function tls.authority(name)
  dir = dir or scratch.dir()
  local ca = dir .. "/" .. (name or "ca") .. ".pem"
  return openssl(("req -x509 %s -subj /CN=authority -keyout '%s.key' -out '%s'"):format(EC, ca, ca)) and ca or nil
end

-- What `openssl ca` wants to know; it is the one that takes dates.
local CA <const> = "[ca]\ndefault_ca=d\n[d]\ndatabase=%s.index\nnew_certs_dir=%s\nrand_serial=yes\nunique_subject=no\n"
  .. "default_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n"

--- A certificate that the authority signs, for an address. o: {cn = name, names = "subjectAltName" as openssl writes it, or false for
-- none, from =, to = "YYYYMMDDHHMMSSZ", digest = "sha1"}. Returns its path and that of its key.
function tls.certificate(ca, name, address, o)
  o = o or {}
  local path = dir .. "/" .. name
  scratch.write(path .. ".ext", o.names == false
    and "basicConstraints=CA:FALSE\n" or "subjectAltName=" .. (o.names or "IP:" .. address) .. "\n")
  assert(openssl(("req %s -subj /CN=%s -keyout '%s.key' -out '%s.csr'"):format(EC, o.cn or name, path, path)))
  if o.from then
    scratch.write(path .. ".index", "")
    scratch.write(path .. ".conf", CA:format(path, dir))
    assert(openssl(("ca -batch -notext -config '%s.conf' -cert '%s' -keyfile '%s.key' -startdate %s -enddate %s -extfile '%s.ext' "
      .. "-in '%s.csr' -out '%s.pem'"):format(path, ca, ca, o.from, o.to, path, path, path)))
  else
    assert(openssl(("x509 -req -in '%s.csr' -CA '%s' -CAkey '%s.key' -CAcreateserial -extfile '%s.ext' -%s -out '%s.pem'"):format(
      path, ca, ca, path, o.digest or "sha256", path)))
  end
  return path .. ".pem", path .. ".key"
end

--- Starts `openssl s_server`; flags: its own, such as "-www". Returns its port, and what it prints: without flags, what it was sent.
function tls.serve(cert, key, flags)
  local fifo = dir .. "/stdin" -- one that never ends: at the end of its input it would close connections
  os.execute(("[ -p '%s' ] || mkfifo '%s'"):format(fifo, fifo))
  local pipe = assert(io.popen(("echo $$; exec openssl s_server -accept 127.0.0.1:0 -cert '%s' -key '%s' %s 2>&1 <>'%s'"):format(
    cert, key, flags or "", fifo)))
  servers[#servers + 1] = { pid = pipe:read "l", pipe = pipe }
  for line in pipe:lines() do
    local port = line:match "^ACCEPT.-:(%d+)$"
    if port then return math.tointeger(port), pipe, servers[#servers].pid end
  end
  error "openssl s_server did not start"
end

--- Types a line into what serve started.
function tls.tell(text)
  local f <close> = assert(io.open(dir .. "/stdin", "w"))
  f:write(text)
end

return tls
