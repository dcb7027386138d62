# All images: docker build --target broker|feeder|gateway|tail|balancer|telegram|doctor .
# Another base: --build-arg BASE=ubuntu:24.04 (Debian or Ubuntu, any release that has the libraries).
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS build
COPY tools/install-deps /src/tools/
RUN /src/tools/install-deps build && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# Stripped, because the images hold no debugger: symbols would be half of each program.
RUN make web && make -j"$(nproc)" build CFLAGS="-O2" && strip build/release/bin/*
RUN cd build/release/bin \
 && /src/tools/runtime-packages pregon-broker pregon-feeder pregon-gateway pregon-tail > /runtime-packages \
 && /src/tools/runtime-packages pregon-telegram pregon-doctor > /curl-packages

# No compiler, no -dev package: the libraries, and a user without rights.
FROM ${BASE} AS runtime
COPY --from=build /runtime-packages /tmp/
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive xargs apt-get install -y --no-install-recommends < /tmp/runtime-packages \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /tmp/runtime-packages \
 && mkdir /var/lib/pregon && chown 10001:10001 /var/lib/pregon
USER 10001:10001
WORKDIR /var/lib/pregon

FROM runtime AS broker
COPY --from=build /src/build/release/bin/pregon-broker /usr/local/bin/
ENV BROKER_INGEST=tcp://0.0.0.0:5555 BROKER_PUBLISH=tcp://0.0.0.0:5556 BROKER_CONTROL=tcp://0.0.0.0:5557 \
    STORE=sqlite:/var/lib/pregon/pregon.db
EXPOSE 5555 5556 5557
HEALTHCHECK --interval=3s --timeout=3s --start-period=60s CMD ["pregon-broker", "--check"]
ENTRYPOINT ["pregon-broker"]

FROM runtime AS feeder
COPY feeder/data /usr/local/share/pregon/data/
COPY --from=build /src/build/release/bin/pregon-feeder /usr/local/bin/
WORKDIR /usr/local/share/pregon/data
ENV BROKER_INGEST=tcp://broker:5555 BROKER_CONTROL=tcp://broker:5557
HEALTHCHECK --interval=3s --timeout=3s --start-period=60s CMD ["pregon-feeder", "--check"]
ENTRYPOINT ["pregon-feeder"]

FROM runtime AS gateway
COPY --from=build /src/build/release/bin/pregon-gateway /usr/local/bin/
ENV HOST=0.0.0.0 PORT=8000 BROKER_PUBLISH=tcp://broker:5556 BROKER_CONTROL=tcp://broker:5557
EXPOSE 8000
HEALTHCHECK --interval=3s --timeout=3s --start-period=60s CMD ["pregon-gateway", "--check"]
ENTRYPOINT ["pregon-gateway"]

FROM runtime AS tail
COPY --from=build /src/build/release/bin/pregon-tail /usr/local/bin/
ENV BROKER_PUBLISH=tcp://broker:5556 BROKER_CONTROL=tcp://broker:5557
ENTRYPOINT ["pregon-tail"]

FROM ${BASE} AS balancer
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends haproxy \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
COPY balancer /usr/local/lib/balancer/
USER 10001:10001
EXPOSE 8000 8443
HEALTHCHECK --interval=3s --timeout=3s --start-period=60s CMD ["/usr/local/lib/balancer/check"]
# SIGUSR1 lets HAProxy finish its requests; SIGTERM would cut them.
STOPSIGNAL SIGUSR1
ENTRYPOINT ["/usr/local/lib/balancer/start"]

# For the programs that make HTTPS requests.
FROM runtime AS runtime-curl
COPY --from=build /curl-packages /tmp/
USER root
RUN apt-get update \
 && echo ca-certificates >> /tmp/curl-packages \
 && DEBIAN_FRONTEND=noninteractive xargs apt-get install -y --no-install-recommends < /tmp/curl-packages \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /tmp/curl-packages
USER 10001:10001

FROM runtime-curl AS telegram
COPY --from=build /src/build/release/bin/pregon-telegram /usr/local/bin/
ENV BROKER_PUBLISH=tcp://broker:5556 BROKER_CONTROL=tcp://broker:5557
HEALTHCHECK --interval=3s --timeout=3s --start-period=60s CMD ["pregon-telegram", "--check"]
ENTRYPOINT ["pregon-telegram"]

FROM runtime-curl AS doctor
COPY --from=build /src/build/release/bin/pregon-doctor /usr/local/bin/
WORKDIR /settings
ENV GATEWAY_URL=http://gateway:8000 PUBLIC_URL=http://balancer:8000 \
    BROKER_INGEST=tcp://broker:5555 BROKER_PUBLISH=tcp://broker:5556 BROKER_CONTROL=tcp://broker:5557
ENTRYPOINT ["pregon-doctor"]
