# CORS_ORIGINS as regular expressions for lower-case origins, one a line; "*" for the entry "*".
# The same comparison as gateway/policy/origin.c: scheme, host and effective port, one '*' in one of them.
# A wrong list stops the gateways; here its entries match nothing.

function quote(text) {
    gsub(/[^a-z0-9*]/, "\\\\&", text)
    return text
}

# The port as it may be written after this scheme; the scheme's default may be left out.
function port_after(scheme, port) {
    if (port == "*")
        return "(:[0-9]+)?"
    if (scheme in own && (port == "" || port == own[scheme]))
        return "(:" own[scheme] ")?"
    return port == "" ? "" : ":" port
}

function expression(entry,    scheme, host, port, at, all, known) {
    if (entry == "*" || entry == "null")
        return entry
    at = index(entry, "://")
    if (!at)
        return ""
    scheme = substr(entry, 1, at - 1)
    host = substr(entry, at + 3)
    sub(/\/$/, "", host)
    if (match(host, /:([0-9]+|\*)$/)) {
        port = substr(host, RSTART + 1)
        host = substr(host, 1, RSTART - 1)
    }
    if (host !~ /^(\[[0-9a-f:.]+\]|[a-z0-9._*-]+)$/ || scheme !~ /^[a-z0-9+.*-]+$/)
        return ""
    if (host == "*")
        host = "([a-z0-9._-]+|\\[[0-9a-f:.]+\\])"
    else {
        host = quote(host)
        sub(/\*/, "[a-z0-9._-]*", host)
    }
    if (scheme !~ /\*/)
        return quote(scheme) "://" host port_after(scheme, port)
    scheme = quote(scheme)
    sub(/\*/, "[a-z0-9+.-]*", scheme)
    all = scheme "://" host port_after("", port)
    for (known in own)
        if (known ~ ("^" scheme "$"))
            all = all "|" known "://" host port_after(known, port)
    return "(" all ")"
}

BEGIN {
    own["http"] = 80
    own["https"] = 443
    list = tolower("CORS_ORIGINS" in ENVIRON ? ENVIRON["CORS_ORIGINS"] : \
                   "http://localhost:3000,http://127.0.0.1:3000")
    if (list ~ /^[ \t]*\[/) { # a JSON list
        gsub(/^[ \t]*\[|\][ \t]*$/, "", list)
        gsub(/\\\//, "/", list)
        gsub(/"/, "", list)
    }
    count = split(list, entries, ",")
    for (i = 1; i <= count; i++) {
        gsub(/^[ \t\r\n]+|[ \t\r\n]+$/, "", entries[i])
        line = expression(entries[i])
        if (line == "*")
            print line
        else if (line != "")
            print "^" line "$"
    }
}
