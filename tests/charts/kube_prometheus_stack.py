"""Facts about the vendor's kube-prometheus-stack, read from the default values and the templates of 88.5.3.

The chart has no value schema: helm ignores a misspelt key without a word. Grafana's part is that of its chart 12.11.
"""

from __future__ import annotations

from typing import Any

from charts.known_keys import names

KEYS: dict[str, Any] = {
    **names(
        "additionalPrometheusRulesMap cleanPrometheusOperatorObjectNames commonLabels coreDns crds "
        "customRules defaultRules extraManifests fullnameOverride global kubeApiServer kubeDns "
        "kubeStateMetrics kubeTargetVersionOverride kubeVersionOverride kubelet kubernetesServiceMonitors "
        "nameOverride namespaceOverride nodeExporter prometheus-windows-exporter thanosRuler "
        "windowsMonitoring"
    ),
    **dict.fromkeys(
        ("kubeControllerManager", "kubeEtcd", "kubeProxy", "kubeScheduler"),
        names("enabled endpoints jobNameOverride service serviceMonitor"),
    ),
    "alertmanager": {
        **names(
            "additionalLabels annotations apiVersion config enableFeatures enabled extraSecret "
            "forceDeployDashboards ingress ingressPerReplica namespaceOverride networkPolicy "
            "podDisruptionBudget route routePerReplica secret service serviceAccount serviceMonitor "
            "servicePerReplica stringConfig templateFiles tplConfig verticalPodAutoscaler"
        ),
        "alertmanagerSpec": names(
            "additionalArgs additionalConfig additionalConfigString additionalPeers affinity "
            "alertmanagerConfigMatcherStrategy alertmanagerConfigNamespaceSelector alertmanagerConfigSelector "
            "alertmanagerConfiguration automountServiceAccountToken clusterAdvertiseAddress "
            "clusterGossipInterval clusterLabel clusterPeerTimeout clusterPushpullInterval clusterTLS "
            "configMaps containers dnsConfig dnsPolicy enableServiceLinks externalUrl forceEnableClusterMode "
            "hostAliases hostNetwork hostUsers image initContainers limits listenLocal logFormat logLevel "
            "minReadySeconds nodeSelector paused persistentVolumeClaimRetentionPolicy podAntiAffinity "
            "podAntiAffinityTopologyKey podManagementPolicy podMetadata portName priorityClassName replicas "
            "resources retention routePrefix schedulerName scheme secrets securityContext serviceName storage "
            "terminationGracePeriodSeconds tlsConfig tolerations topologySpreadConstraints updateStrategy "
            "useExistingSecret volumeMounts volumes web"
        ),
    },
    "grafana": {
        **names(
            "additionalDataSources additionalDataSourcesString adminUser affinity alerting "
            "assertNoLeakedSecrets automountServiceAccountToken autoscaling containerSecurityContext "
            "createConfigmap dashboardProviders dashboards dashboardsConfigMaps datasources "
            "defaultCurlOptions defaultDashboardsEditable defaultDashboardsEnabled defaultDashboardsInterval "
            "defaultDashboardsTimezone deleteDatasources deploymentStrategy dnsConfig dnsPolicy "
            "downloadDashboards downloadDashboardsImage enableKubeBackwardCompatibility enableServiceLinks "
            "enabled env envFromConfigMaps envFromSecret envFromSecrets envRenderSecret envValueFrom "
            "extraConfigmapMounts extraContainerVolumes extraContainers extraEmptyDirMounts extraExposePorts "
            "extraInitContainers extraLabels extraObjects extraSecretMounts extraVolumeMounts extraVolumes "
            "fullnameOverride "
            "forceDeployDashboards forceDeployDatasources global gossipPortName grafana.ini headlessService "
            "hostAliases hostUsers image imageRenderer ingress initChownData ldap lifecycleHooks listenerSet "
            "livenessProbe namespaceOverride networkPolicy nodeSelector notifiers operator persistence "
            "plugins podDisruptionBudget podPortName progressDeadlineSeconds prune rbac readinessProbe "
            "replicas resources revisionHistoryLimit route securityContext serviceAccount serviceMonitor "
            "shadowBundledPlugins shareProcessNamespace smtp startupProbe testFramework tolerations "
            "topologySpreadConstraints useStatefulSet verticalPodAutoscaler"
        ),
        "admin": names("existingSecret passwordKey userKey"),
        "service": names(
            "annotations appProtocol enabled ipFamilies ipFamilyPolicy labels loadBalancerClass "
            "loadBalancerIP loadBalancerSourceRanges nodePort port portName sessionAffinity targetPort "
            "trafficDistribution type"
        ),
        "sidecar": {
            **names(
                "alerts enableUniqueFilenames image imagePullPolicy livenessProbe notifiers plugins "
                "readinessProbe resources securityContext"
            ),
            "dashboards": {
                **names(
                    "SCProvider annotations defaultFolderName enableNewTablePanelSyntax enabled env "
                    "envValueFrom extraMounts folder folderAnnotation initDashboards label labelValue "
                    "multicluster reloadURL resource resourceName script searchNamespace sizeLimit skipReload "
                    "watchMethod"
                ),
                "provider": names(
                    "allowUiUpdates disableDelete folder folderUid foldersFromFilesStructure name orgid type"
                ),
            },
            "datasources": names(
                "alertmanager annotations createPrometheusReplicasDatasources defaultDatasourceEnabled "
                "enabled env envValueFrom exemplarTraceIdDestinations extraMounts httpMethod initDatasources "
                "isDefaultDatasource label labelValue name prometheusServiceName reloadURL resource "
                "resourceName script searchNamespace sizeLimit skipReload uid watchMethod"
            ),
        },
    },
    "kube-state-metrics": names("prometheus prometheusScrape releaseLabel resources"),
    "prometheus": {
        **names(
            "additionalLabels additionalPodMonitors additionalRulesForClusterRole additionalServiceMonitors "
            "agentMode annotations enabled extraSecret ingress ingressPerReplica networkPolicy "
            "podDisruptionBudget route routePerReplica serviceAccount serviceMonitor servicePerReplica "
            "thanosIngress thanosService thanosServiceExternal thanosServiceMonitor verticalPodAutoscaler"
        ),
        "prometheusSpec": names(
            "additionalAlertManagerConfigs additionalAlertManagerConfigsSecret additionalAlertRelabelConfigs "
            "additionalAlertRelabelConfigsSecret additionalArgs additionalConfig additionalConfigString "
            "additionalPrometheusSecretsAnnotations additionalRemoteRead additionalRemoteWrite "
            "additionalScrapeConfigs additionalScrapeConfigsSecret affinity alertingEndpoints "
            "allowOverlappingBlocks apiserverConfig arbitraryFSAccessThroughSMs automountServiceAccountToken "
            "bodySizeLimit configMaps containers convertClassicHistogramsToNHCB disableAlerting "
            "disableCompaction dnsConfig dnsPolicy enableAdminAPI enableFeatures enableOTLPReceiver "
            "enableRemoteWriteReceiver enableServiceLinks enforcedBodySizeLimit enforcedKeepDroppedTargets "
            "enforcedLabelLimit enforcedLabelNameLengthLimit enforcedLabelValueLengthLimit "
            "enforcedNamespaceLabel enforcedSampleLimit enforcedTargetLimit evaluationInterval "
            "excludedFromEnforcement exemplars externalLabels externalUrl hostAliases hostNetwork hostUsers "
            "ignoreNamespaceSelectors image initContainers keepDroppedTargets labelLimit labelNameLengthLimit "
            "labelValueLengthLimit listenLocal logFormat logLevel maximumStartupDurationSeconds "
            "minReadySeconds nameEscapingScheme nameValidationScheme nodeSelector otlp overrideHonorLabels "
            "overrideHonorTimestamps paused persistentVolumeClaimRetentionPolicy podAntiAffinity "
            "podAntiAffinityTopologyKey podManagementPolicy podMetadata podMonitorNamespaceSelector "
            "podMonitorSelector podMonitorSelectorNilUsesHelmValues podTargetLabels portName "
            "priorityClassName probeNamespaceSelector probeSelector probeSelectorNilUsesHelmValues "
            "prometheusExternalLabelName prometheusExternalLabelNameClear prometheusRulesExcludedFromEnforce "
            "query queryLogFile reloadStrategy remoteRead remoteWrite remoteWriteDashboards "
            "remoteWriteReceiverMessageVersions replicaExternalLabelName replicaExternalLabelNameClear "
            "replicas resources retention retentionSize routePrefix ruleNamespaceSelector ruleQueryOffset "
            "ruleSelector ruleSelectorNilUsesHelmValues runtime sampleLimit schedulerName scrapeClasses "
            "scrapeClassicHistograms scrapeConfigNamespaceSelector scrapeConfigSelector "
            "scrapeConfigSelectorNilUsesHelmValues scrapeFailureLogFile scrapeInterval scrapeNativeHistograms "
            "scrapeProtocols scrapeTimeout secrets securityContext serviceDiscoveryRole "
            "serviceMonitorNamespaceSelector serviceMonitorSelector serviceMonitorSelectorNilUsesHelmValues "
            "serviceName shardRetentionPolicy shardingStrategy shards storageSpec targetLimit "
            "terminationGracePeriodSeconds thanos tolerations topologySpreadConstraints tracingConfig tsdb "
            "updateStrategy version volumeMounts volumes walCompression web"
        ),
        "service": names(
            "additionalPorts annotations clusterIP enabled externalIPs externalTrafficPolicy ipDualStack "
            "labels loadBalancerIP loadBalancerSourceRanges nodePort port publishNotReadyAddresses "
            "reloaderWebNodePort reloaderWebPort sessionAffinity sessionAffinityConfig targetPort type"
        ),
    },
    "prometheus-node-exporter": names("extraArgs image podLabels prometheus rbac releaseLabel resources service"),
    "prometheusOperator": names(
        "admissionWebhooks affinity alertmanagerConfigNamespaces alertmanagerInstanceNamespaces "
        "alertmanagerInstanceSelector annotations automountServiceAccountToken containerSecurityContext "
        "denyNamespaces dnsConfig enabled env extraArgs extraVolumeMounts extraVolumes featureGates "
        "fullnameOverride hostNetwork hostUsers image kubeletEndpointSliceEnabled kubeletEndpointsEnabled "
        "kubeletService labels lifecycle livenessProbe namespaces networkPolicy nodeSelector podAnnotations "
        "podDisruptionBudget podLabels prometheusConfigReloader prometheusInstanceNamespaces "
        "prometheusInstanceSelector readinessProbe resources revisionHistoryLimit secretFieldSelector "
        "securityContext service serviceAccount serviceMonitor strategy terminationGracePeriodSeconds "
        "thanosImage thanosRulerInstanceNamespaces thanosRulerInstanceSelector tls tolerations "
        "verticalPodAutoscaler"
    ),
}
